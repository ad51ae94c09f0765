// Container output on disk, in the form that kubectl logs reads (CRI).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

// A line longer than this is cut into partial records (bytes).
constexpr std::size_t kMaxRecordBytes = 16U << 10U;

using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

// Turns one stream into records "<time> <stream> <P|F> <bytes>\n". The records' borders depend on
// the bytes alone, never on how they arrived; only times do.
class LogFramer {
 public:
  explicit LogFramer(std::string stream) : stream_(std::move(stream)) {}

  // Appends the records that the chunk completes.
  void feed(std::string_view chunk, WallTime now, std::string& records);
  // The stream ended: an open line becomes a partial record.
  void finish(WallTime now, std::string& records);

 private:
  void put(std::string_view bytes, char tag, WallTime now, std::string& records) const;

  std::string stream_;
  std::string line_;
};

struct LogLimits {
  std::size_t file_bytes = 10U << 20U;
  std::size_t line_bytes = 128U << 10U;  // that a file may be larger, to end with a whole line
  int files = 5;  // the current one included
};

// The file and its older ones. A full disk never blocks the program: what does not fit is dropped,
// counted and said in the log as soon as there is room again.
class LogFile {
 public:
  // Opens for appending, without following links. Errors: denied, not_found, invalid (a link).
  static Result<LogFile> create(const std::string& path, const LogLimits& limits);

  // Writes whole records; rotates first when the file is full and the last record ended a line, or
  // when the line has gone on for more than its share.
  void write(std::string_view records, WallTime now);
  // Starts a new file now, if the last record ended a line or the file is beyond all limits.
  void rotate(WallTime now);
  // Makes what was written durable. An empty log costs nothing.
  void sync() const;
  std::uint64_t dropped_bytes() const { return dropped_total_; }

 private:
  Status open();
  void append(std::string_view record, WallTime now);
  void remove_oldest() const;

  std::string path_;
  LogLimits limits_;
  UniqueFd file_;
  std::size_t size_ = 0;
  bool line_open_ = false;
  std::uint64_t dropped_ = 0;  // not said yet
  std::uint64_t dropped_total_ = 0;
};

}  // namespace moored::shim
