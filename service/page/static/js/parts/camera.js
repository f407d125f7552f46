// Pictures of good parts by the camera of this machine, one at each press.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { t } from "../i18n.js";
import { useKeys } from "../keys.js";
import { Dialog } from "./dialog.js";

const WISHED = { video: { width: { ideal: 1920 }, height: { ideal: 1080 }, facingMode: "environment" }, audio: false };

export function Camera({ onPicture, onClose }) {
  const video = useRef(null);
  const [error, setError] = useState(null);
  const [count, setCount] = useState(0);
  useEffect(() => {
    let opened = null;
    let left = false;
    const open = async () => {
      if (!navigator.mediaDevices) return setError(t("camera.insecure"));
      try {
        opened = await navigator.mediaDevices.getUserMedia(WISHED);
        if (left) return stop(opened);
        video.current.srcObject = opened;
      } catch (problem) {
        setError(t(problem.name === "NotAllowedError" ? "camera.refused" : "camera.none"));
      }
      return undefined;
    };
    open();
    return () => {
      left = true;
      if (opened) stop(opened);
    };
  }, []);
  const take = async () => {
    const source = video.current;
    if (!source?.videoWidth) return;
    const canvas = new OffscreenCanvas(source.videoWidth, source.videoHeight);
    canvas.getContext("2d").drawImage(source, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/png" });
    setCount((before) => before + 1);
    onPicture(new File([blob], `camera-${Date.now()}.png`, { type: "image/png" }));
  };
  useKeys({ " ": take });
  return html`<${Dialog} title=${t("camera.title")} onClose=${onClose} keys>
    ${error ? html`<p class="words why-not" role="alert">${error}</p>`
      : html`<video ref=${video} autoplay muted playsinline class="camera"></video>
        <button class="button main wide" onClick=${take}>${t("camera.take")}<kbd>␣</kbd></button><p class="soft" role="status">${t("camera.count", { count })}</p>`}
  </${Dialog}>`;
}

const stop = (opened) => opened.getTracks().forEach((track) => track.stop());
