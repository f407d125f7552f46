// Colours for a map: clear below its threshold, then from amber to red; the grey at the threshold is fixed by the service.
const FALLBACK_THRESHOLD = 128;

export async function paintMap(canvas, base64, scale) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const table = colours(scale?.grey_at_threshold ?? FALLBACK_THRESHOLD);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const grey = pixels.data[at] * 4;
    pixels.data[at] = table[grey];
    pixels.data[at + 1] = table[grey + 1];
    pixels.data[at + 2] = table[grey + 2];
    pixels.data[at + 3] = table[grey + 3];
  }
  context.putImageData(pixels, 0, 0);
}

function colours(threshold) {
  const table = new Uint8ClampedArray(256 * 4);
  for (let grey = 0; grey < 256; grey++) {
    const below = Math.min(grey / threshold, 1);
    const above = Math.max(0, (grey - threshold) / (255 - threshold));
    table.set([255, 190 - 165 * above ** 0.7, 30 - 10 * above, 255 * (above > 0 ? 0.55 + 0.35 * above : 0.5 * below ** 4)], grey * 4);
  }
  return table;
}
