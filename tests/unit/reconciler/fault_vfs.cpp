#include "tests/unit/reconciler/fault_vfs.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "schema/base/random.hpp"

namespace moored::test {
namespace {

constexpr std::size_t kSector = 512;

// Our part of an open file; the real one lies behind it in the same memory.
struct FaultFile {
  sqlite3_file base;
  FaultDisk* disk;
  sqlite3_file* real;
  char name[128];
};

FaultFile* mine(sqlite3_file* file) {
  return reinterpret_cast<FaultFile*>(file);
}
sqlite3_file* real(sqlite3_file* file) {
  return mine(file)->real;
}

int close_file(sqlite3_file* file) {
  return real(file)->pMethods->xClose(real(file));
}
int read_file_at(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
  return real(file)->pMethods->xRead(real(file), out, size, offset);
}
int write_file_at(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  FaultDisk& disk = *mine(file)->disk;
  if (const int code = disk.before_change(); code != SQLITE_OK) return code;
  disk.remember({DiskStep::Type::write, mine(file)->name, offset,
                 std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size))});
  return real(file)->pMethods->xWrite(real(file), bytes, size, offset);
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  FaultDisk& disk = *mine(file)->disk;
  if (const int code = disk.before_change(); code != SQLITE_OK) return code;
  disk.remember({DiskStep::Type::truncate, mine(file)->name, size, {}});
  return real(file)->pMethods->xTruncate(real(file), size);
}
int sync_file(sqlite3_file* file, int flags) {
  FaultDisk& disk = *mine(file)->disk;
  if (const int code = disk.before_change(); code != SQLITE_OK) {
    return code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
  }
  if (disk.take_sync_failure()) return SQLITE_IOERR_FSYNC;
  disk.remember({DiskStep::Type::sync, mine(file)->name, 0, {}});
  return real(file)->pMethods->xSync(real(file), flags);
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return real(file)->pMethods->xFileSize(real(file), size);
}
int lock_file_at(sqlite3_file* file, int level) {
  return real(file)->pMethods->xLock(real(file), level);
}
int unlock_file(sqlite3_file* file, int level) {
  return real(file)->pMethods->xUnlock(real(file), level);
}
int check_lock(sqlite3_file* file, int* out) {
  return real(file)->pMethods->xCheckReservedLock(real(file), out);
}
int file_control(sqlite3_file* file, int what, void* argument) {
  return real(file)->pMethods->xFileControl(real(file), what, argument);
}
int sector_size(sqlite3_file* file) {
  return real(file)->pMethods->xSectorSize(real(file));
}
// Nothing is promised: a write may be torn, and may arrive before an earlier one.
int device_traits(sqlite3_file*) {
  return 0;
}
int map_shared(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return real(file)->pMethods->xShmMap(real(file), page, size, extend, out);
}
int lock_shared(sqlite3_file* file, int offset, int n, int flags) {
  return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}
void shared_barrier(sqlite3_file* file) {
  real(file)->pMethods->xShmBarrier(real(file));
}
int unmap_shared(sqlite3_file* file, int remove) {
  return real(file)->pMethods->xShmUnmap(real(file), remove);
}

const sqlite3_io_methods kMethods = {2,
                                     close_file,
                                     read_file_at,
                                     write_file_at,
                                     truncate_file,
                                     sync_file,
                                     file_size,
                                     lock_file_at,
                                     unlock_file,
                                     check_lock,
                                     file_control,
                                     sector_size,
                                     device_traits,
                                     map_shared,
                                     lock_shared,
                                     shared_barrier,
                                     unmap_shared,
                                     nullptr,
                                     nullptr};

// The file system with the name of its disk; the system's own does the work.
struct FaultVfs {
  sqlite3_vfs base;
  FaultDisk* disk;
  sqlite3_vfs* real;
};

FaultVfs* mine(sqlite3_vfs* vfs) {
  return reinterpret_cast<FaultVfs*>(vfs);
}

int open_file(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* out_flags) {
  FaultFile* file = mine(out);
  file->disk = mine(vfs)->disk;
  file->real = reinterpret_cast<sqlite3_file*>(file + 1);
  const char* slash = path == nullptr ? nullptr : std::strrchr(path, '/');
  const std::string name = path == nullptr ? "temporary" : slash == nullptr ? path : slash + 1;
  std::strncpy(file->name, name.c_str(), sizeof file->name - 1);
  file->name[sizeof file->name - 1] = '\0';
  sqlite3_vfs* under = mine(vfs)->real;
  const int code = under->xOpen(under, path, file->real, flags, out_flags);
  file->base.pMethods = code == SQLITE_OK ? &kMethods : nullptr;
  return code;
}

int delete_file(sqlite3_vfs* vfs, const char* path, int sync) {
  FaultDisk& disk = *mine(vfs)->disk;
  if (const int code = disk.before_change(); code != SQLITE_OK) return code;
  const char* slash = std::strrchr(path, '/');
  disk.remember({DiskStep::Type::remove, slash == nullptr ? path : slash + 1, 0, {}});
  return mine(vfs)->real->xDelete(mine(vfs)->real, path, sync);
}

std::map<std::string, FaultVfs>& registered() {
  static std::map<std::string, FaultVfs> all;
  return all;
}

void apply(std::string& file, const DiskStep& step, std::size_t bytes) {
  const auto offset = static_cast<std::size_t>(step.offset);
  if (step.type == DiskStep::Type::truncate) return file.resize(offset);
  if (file.size() < offset + bytes) file.resize(offset + bytes);
  file.replace(offset, bytes, step.bytes, 0, bytes);
}

}  // namespace

FaultDisk::FaultDisk() {
  static int count = 0;
  name_ = "moored-fault-" + std::to_string(++count);
  FaultVfs& vfs = registered()[name_];
  vfs.real = sqlite3_vfs_find(nullptr);
  vfs.base = *vfs.real;
  vfs.base.zName = name_.c_str();
  vfs.base.pNext = nullptr;
  vfs.base.szOsFile = static_cast<int>(sizeof(FaultFile)) + vfs.real->szOsFile;
  vfs.base.xOpen = &open_file;
  vfs.base.xDelete = &delete_file;
  vfs.disk = this;
  sqlite3_vfs_register(&vfs.base, 0);
}

FaultDisk::~FaultDisk() {
  sqlite3_vfs_unregister(&registered()[name_].base);
  registered().erase(name_);
}

void FaultDisk::fail_at(int n, Fault fault, bool lasting) {
  countdown_ = n;
  fault_ = fault;
  lasting_ = lasting;
  failed_ = false;
}

void FaultDisk::acknowledge(std::int64_t version) {
  remember({DiskStep::Type::acknowledge, {}, version, {}});
}

int FaultDisk::before_change() {
  if (fault_ == Fault::none || countdown_-- > 0) return SQLITE_OK;
  failed_ = true;
  const int code = fault_ == Fault::full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  if (!lasting_) fault_ = Fault::none;
  return code;
}

void FaultDisk::remember(DiskStep step) {
  if (recording_) steps_.push_back(std::move(step));
}

std::map<std::string, std::string> cut_power(const std::vector<DiskStep>& steps, std::size_t n,
                                             std::uint64_t seed) {
  SeededRandom random(seed);
  std::map<std::string, std::string> durable;
  std::map<std::string, std::vector<const DiskStep*>> waiting;
  for (std::size_t i = 0; i < n; ++i) {
    const DiskStep& step = steps[i];
    switch (step.type) {
      case DiskStep::Type::acknowledge:
        break;
      case DiskStep::Type::write:
      case DiskStep::Type::truncate:
        waiting[step.file].push_back(&step);
        break;
      case DiskStep::Type::remove:
        durable.erase(step.file);
        waiting.erase(step.file);
        break;
      case DiskStep::Type::sync:
        for (const DiskStep* one : waiting[step.file]) {
          apply(durable[step.file], *one, one->bytes.size());
        }
        waiting[step.file].clear();
        break;
    }
  }
  for (const auto& [file, list] : waiting) {
    for (const DiskStep* one : list) {
      const auto fate = random.below(3);
      if (fate == 0) continue;
      const std::size_t torn = one->bytes.size() / 2 / kSector * kSector;
      apply(durable[file], *one, fate == 1 ? one->bytes.size() : torn);
    }
  }
  return durable;
}

}  // namespace moored::test
