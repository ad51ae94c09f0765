#!/usr/bin/env python3
"""Packs directories as the layers of an OCI image and writes it as an oci-archive.

Deterministic: the same directories give the same digests. Needs nothing but Python.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import tarfile


def layer_tar(directory):
    """The uncompressed tar of a directory, entries sorted, owned by root, without times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for root, names, files in os.walk(directory):
            names.sort()
            links = [name for name in names if os.path.islink(os.path.join(root, name))]
            for name in sorted(names + files):
                path = os.path.join(root, name)
                info = tar.gettarinfo(path, arcname=os.path.relpath(path, directory))
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                info.mtime = 0
                if info.isreg():
                    with open(path, "rb") as content:
                        tar.addfile(info, content)
                else:
                    tar.addfile(info)
            names[:] = [name for name in names if name not in links]
    return buffer.getvalue()


def descriptor(kind, content):
    return {
        "mediaType": "application/vnd.oci.image." + kind,
        "digest": "sha256:" + hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }


def build(output, name, layers, config):
    blobs = {}

    def add(kind, content):
        row = descriptor(kind, content)
        blobs[row["digest"]] = content
        return row

    diff_ids, rows = [], []
    for directory in layers:
        tar = layer_tar(directory)
        diff_ids.append("sha256:" + hashlib.sha256(tar).hexdigest())
        packed = gzip.compress(tar, compresslevel=1, mtime=0)
        rows.append(add("layer.v1.tar+gzip", packed))
    image = {
        "architecture": config.pop("architecture"),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add("config.v1+json", json.dumps(image, sort_keys=True).encode()),
        "layers": rows,
    }
    top = add("manifest.v1+json", json.dumps(manifest, sort_keys=True).encode())
    top["annotations"] = {"org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [top]}
    with tarfile.open(output, "w") as tar:
        def put(path, content):
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

        put("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        put("index.json", json.dumps(index, sort_keys=True).encode())
        for digest, content in sorted(blobs.items()):
            put("blobs/sha256/" + digest.split(":")[1], content)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", required=True, help="the archive to write")
    parser.add_argument("--name", required=True, help="reference inside the archive")
    parser.add_argument("--layer", action="append", default=[], help="directory; lowest first")
    parser.add_argument("--entrypoint", action="append", default=[])
    parser.add_argument("--cmd", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--workdir", default="/")
    parser.add_argument("--user", default="")
    parser.add_argument("--stop-signal", default="")
    arguments = parser.parse_args()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = {"architecture": machine, "Env": arguments.env, "WorkingDir": arguments.workdir}
    for key, value in (("Entrypoint", arguments.entrypoint), ("Cmd", arguments.cmd),
                       ("User", arguments.user), ("StopSignal", arguments.stop_signal)):
        if value:
            config[key] = value
    build(arguments.output, arguments.name, arguments.layer, config)


if __name__ == "__main__":
    main()
