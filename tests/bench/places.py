"""Where the benches write: neither what others have left on the machine nor how its file system was
made is part of a figure."""
import contextlib
import pathlib
import tempfile

from harness import run


class Transient:
    """A directory in memory, below /run as what a reboot may lose is on Debian."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="moored-bench-", dir="/run"))
        run("mount", "-t", "tmpfs", "-o", "mode=0700", "none", self.path)

    def close(self):
        run("umount", "-l", self.path, check=False)
        with contextlib.suppress(FileNotFoundError):  # a daemon that goes down takes its own away
            self.path.rmdir()


class Disk:
    """A file system of its own, ext4 as Debian makes it. Temporary directories lie there."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="moored-bench-", dir="/var/tmp"))
        self.image = self.path.with_suffix(".img")
        try:
            run("truncate", "-s", "8G", self.image)
            run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
            run("mount", "-o", "loop", self.image, self.path)
        except BaseException:
            self.close()
            raise
        tempfile.tempdir = str(self.path)

    def close(self):
        tempfile.tempdir = None
        run("umount", "-l", self.path, check=False)
        self.path.rmdir()
        self.image.unlink(missing_ok=True)
