// An SQLite file system that fails when told, and remembers what was written and synced.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace moored::test {

// What one call did to one file.
struct DiskStep {
  enum class Type { write, truncate, sync, remove, acknowledge } type = Type::write;
  std::string file;         // last part of the path
  std::int64_t offset = 0;  // truncate: the new size; acknowledge: the version
  std::string bytes;
};

// The faults and the record of one registered file system. Used by one thread at a time.
class FaultDisk {
 public:
  enum class Fault { none, full, io_error };

  // Registers it under a name of its own; gone with the object. No file may be open then.
  FaultDisk();
  ~FaultDisk();
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;
  const std::string& name() const { return name_; }

  // Lets the n-th changing call from now on fail (0: the next one), and every later one too when
  // it is to last.
  void fail_at(int n, Fault fault, bool lasting);
  // The next sync fails, and only that: what was written before stays in the cache, as the kernel
  // leaves it.
  void fail_sync() { sync_fails_ = true; }
  bool take_sync_failure() { return std::exchange(sync_fails_, false); }
  void heal() { fault_ = Fault::none; }
  bool has_failed() const { return failed_; }

  // From now on every changing call is remembered.
  void start_recording() { recording_ = true; }
  // Notes that the store has acknowledged a version.
  void acknowledge(std::int64_t version);
  const std::vector<DiskStep>& steps() const { return steps_; }

  // ---- for the file system itself ----
  int before_change();  // an SQLite result code
  void remember(DiskStep step);

 private:
  std::string name_;
  Fault fault_ = Fault::none;
  int countdown_ = 0;
  bool lasting_ = false;
  bool failed_ = false;
  bool sync_fails_ = false;
  bool recording_ = false;
  std::vector<DiskStep> steps_;
};

// The files after a power cut behind the first n steps: what was synced is there, of what was not
// each write is there, absent or torn, as the seed will have it.
std::map<std::string, std::string> cut_power(const std::vector<DiskStep>& steps, std::size_t n,
                                             std::uint64_t seed);

}  // namespace moored::test
