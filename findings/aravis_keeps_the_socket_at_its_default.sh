#!/usr/bin/env bash
# Aravis 0.8.26 (Debian 12): the socket of a GigE stream keeps the system's default size, 208 KiB where nobody has changed it,
# however large a frame is; the property socket-buffer begins as "fixed" with size 0, which means as it is. Only a process
# that may open raw sockets is spared, since Aravis reads a packet socket there: what works as root loses packets
# in a container. Set to "auto", the socket gets the frame's size, as the first frame begins, so that one may still be short.
# Why it matters: a camera that sends in a burst, as Aravis' own fake one, never gets a frame of 256 KiB across on a busy
# machine without that right. Work-around: socket-buffer-size from the payload, and a frame on trial before the first part
# (service/gateway/sources/aravis_camera.py). Needs Debian's apt-get and its lists; nothing is installed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download aravis-tools=0.8.26-1 libaravis-0.8-0=0.8.26-1
for package in ./*.deb; do dpkg -x "$package" unpacked; done
FAKE_CAMERA=$(find "$folder/unpacked" -type f -name 'arv-fake-gv-camera-0.8')
LD_LIBRARY_PATH=$(dirname "$(find "$folder/unpacked" -name 'libaravis-0.8.so.0')")
export FAKE_CAMERA LD_LIBRARY_PATH
cat >look.py <<'PYTHON'
import ctypes
import os
import socket
import stat
import subprocess
import time

aravis, gobject = ctypes.CDLL("libaravis-0.8.so.0"), ctypes.CDLL("libgobject-2.0.so.0")
POINTER, FIXED, AUTO, DISABLE_PACKET_SOCKET = ctypes.c_void_p, 0, 1, 1
for name in ("camera_new", "camera_create_stream", "buffer_new_allocate", "stream_timeout_pop_buffer"):
    getattr(aravis, f"arv_{name}").restype = POINTER


def call(name, *arguments):
    error = POINTER()
    found = getattr(aravis, f"arv_camera_{name}")(*arguments, ctypes.byref(error))
    assert not error.value, name
    return found


def datagram_sizes():
    """SO_RCVBUF of this process's datagram sockets."""
    for entry in os.listdir("/proc/self/fd"):
        try:
            if not stat.S_ISSOCK(os.fstat(int(entry)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(entry))) as own:
                if own.family == socket.AF_INET and own.type == socket.SOCK_DGRAM:
                    yield own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        except OSError:
            continue


def look(policy):
    """(size of a frame, the largest datagram socket, how many of five frames were complete)."""
    camera = POINTER(call("new", b"Aravis-Fake-MKD01"))
    call("set_trigger", camera, b"Software")
    aravis.arv_camera_gv_set_stream_options(camera, DISABLE_PACKET_SOCKET)
    payload = call("get_payload", camera)
    stream = POINTER(call("create_stream", camera, None, None))
    if policy is not None:
        gobject.g_object_set(stream, b"socket-buffer", ctypes.c_int(policy), None)
    for _ in range(3):
        aravis.arv_stream_push_buffer(stream, POINTER(aravis.arv_buffer_new_allocate(ctypes.c_size_t(payload))))
    call("start_acquisition", camera)
    complete = 0
    for _ in range(5):
        time.sleep(0.2)
        call("software_trigger", camera)
        buffer = POINTER(aravis.arv_stream_timeout_pop_buffer(stream, ctypes.c_uint64(2_000_000)))
        assert buffer.value, "no frame at all"
        complete += aravis.arv_buffer_get_status(buffer) == 0
        aravis.arv_stream_push_buffer(stream, buffer)
    largest = max(datagram_sizes())
    call("stop_acquisition", camera)
    gobject.g_object_unref(stream)
    gobject.g_object_unref(camera)
    return payload, largest, complete


fake = subprocess.Popen([os.environ["FAKE_CAMERA"], "-i", "127.0.0.1", "-s", "MKD01"], stdout=-3, stderr=-3)
try:
    time.sleep(1.0)
    aravis.arv_update_device_list()
    as_it_is, fixed, widened = look(None), look(FIXED), look(AUTO)
finally:
    fake.kill()
default, most = (int(open(f"/proc/sys/net/core/rmem_{name}").read()) for name in ("default", "max"))
print(f"Aravis 0.8.26, a frame of {as_it_is[0]} bytes, the system's default {default}, its limit {most}")
for name, (_, size, complete) in (("as it is", as_it_is), ("fixed", fixed), ("auto", widened)):
    print(f"  socket-buffer {name}: {size} bytes, {complete} of 5 frames complete")
raise SystemExit(0 if as_it_is[1] == fixed[1] == default and widened[1] == 2 * min(widened[0], most) else 1)
PYTHON
python3 look.py
