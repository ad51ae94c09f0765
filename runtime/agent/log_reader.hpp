// Reads container logs in the CRI layout: tail, since, timestamps, limit, follow across rotation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/base/time.hpp"
#include "schema/host/unique_fd.hpp"
#include "schema/model/pod.hpp"

namespace moored {

// Where the logs of a pod are: <log_dir>/pods/<namespace>_<name>_<uid>.
// Below it: <container>/<attempt>.log, rotated ones <attempt>.log.<YYYYMMDD-HHMMSS>.
std::string pod_log_directory(const std::string& log_dir, const ObjectMeta& pod);

// Which attempt's log a container status speaks of; previous asks for the one before the last
// restart. Nothing: there is no such instance.
std::optional<int> find_log_attempt(const ContainerStatus& status, bool previous);

// What of a log is wanted. Named as in Kubernetes' log options.
struct LogQuery {
  std::optional<Time> since;               // records at or after this time
  std::optional<std::int64_t> tail_lines;  // the last lines, joined; counted after the time filter
  std::optional<std::int64_t> limit_bytes; // of output
  bool timestamps = false;                 // each line starts with its time and a space
  bool follow = false;                     // stay at the end until finish() was called
  std::string stream;                      // stdout or stderr; empty: both
};

// Reads one attempt's log, rotated files first. Not thread safe; files are held by descriptor, so
// a rotation while reading loses and doubles nothing.
class LogReader {
 public:
  // directory is <pod log directory>/<container>.
  // Errors: not_found (no such log), denied (a link or no plain file in its place).
  static Result<LogReader> open(std::string directory, int attempt, LogQuery query);

  // Appends what can be had now, about chunk bytes at most; gives how many bytes were appended.
  // 0 with at_end() false: nothing new yet, wait for change_fd() or try again later.
  Result<std::size_t> read_more(std::string& out, std::size_t chunk = 64U << 10U);
  // True when nothing will ever be appended again.
  bool at_end() const { return done_; }
  // Says that the container has ended: a follow ends at the end of the file.
  void finish() { query_.follow = false; }
  // Becomes readable when the log may have grown or rotated; -1 without follow. Owned by the
  // reader, drained by read_more.
  int change_fd() const { return watch_.get(); }

 private:
  struct File {
    UniqueFd fd;
    std::uint64_t inode = 0;
  };

  LogReader(std::string directory, int attempt, LogQuery query);
  Status open_files();
  Status seek_tail(std::int64_t lines);
  Result<bool> next_file();
  Result<bool> refill();
  bool take_records(std::string& out, std::size_t chunk);
  void emit(std::string_view record, std::string& out);
  void append(std::string_view text, std::string& out);

  std::string directory_;
  std::string name_;           // <attempt>.log
  LogQuery query_;
  std::vector<File> files_;    // oldest first; the last one is still written to
  std::size_t current_ = 0;    // index of the file being read
  std::int64_t offset_ = 0;    // where in it the next read starts, in bytes
  std::string pending_;        // read but not yet taken: at most one record beyond a chunk
  std::size_t taken_ = 0;      // bytes of pending_ that are done with
  std::int64_t written_ = 0;   // bytes of output so far
  bool line_open_ = false;     // a partial record was written, its line goes on
  bool skipping_ = false;      // the line that goes on was filtered out
  bool done_ = false;
  UniqueFd watch_;
};

}  // namespace moored
