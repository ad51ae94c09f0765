#include "runtime/shim/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "schema/base/time.hpp"
#include "schema/host/file.hpp"

namespace moored::shim {
namespace {

// "20260102-030405" of a moment: the suffix of a file that was put aside.
std::string compact_time(WallTime now) {
  std::string text = format_nano_time(now).substr(0, 19);
  std::string out;
  for (const char c : text) {
    if (c == 'T') out += '-';
    if (c >= '0' && c <= '9') out += c;
  }
  return out;
}

// A record ends a line unless its tag is P: "<time> <stream> P …".
bool ends_line(std::string_view record) {
  const auto first = record.find(' ');
  const auto second = record.find(' ', first + 1);
  return second == std::string_view::npos || record.substr(second + 1, 1) != "P";
}

}  // namespace

void LogFramer::put(std::string_view bytes, char tag, WallTime now, std::string& records) const {
  records += format_nano_time(now);
  records += ' ';
  records += stream_;
  records += ' ';
  records += tag;
  records += ' ';
  records += bytes;
  records += '\n';
}

void LogFramer::feed(std::string_view chunk, WallTime now, std::string& records) {
  while (!chunk.empty()) {
    const auto newline = chunk.find('\n');
    const auto room = kMaxRecordBytes - line_.size();
    const auto length = std::min({newline, room, chunk.size()});
    line_ += chunk.substr(0, length);
    chunk.remove_prefix(length);
    if (!chunk.empty() && chunk.front() == '\n') {
      put(line_, 'F', now, records);
      line_.clear();
      chunk.remove_prefix(1);
    } else if (line_.size() == kMaxRecordBytes && !chunk.empty()) {
      // More is certain to come for this line: only then is the record partial.
      put(line_, 'P', now, records);
      line_.clear();
    }
  }
}

void LogFramer::finish(WallTime now, std::string& records) {
  if (!line_.empty()) put(line_, 'P', now, records);
  line_.clear();
}

Result<LogFile> LogFile::create(const std::string& path, const LogLimits& limits) {
  LogFile log;
  log.path_ = path;
  log.limits_ = limits;
  MOORED_CHECK(log.open());
  return log;
}

Status LogFile::open() {
  file_.reset(::open(path_.c_str(),
                     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                     0640));
  if (!file_) return Unexpected(system_error("open log " + path_, errno));
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    file_.reset();
    return fail(Code::invalid, "log " + path_ + " is not a regular file");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  return {};
}

// Record by record: a rotation falls between two of them.
void LogFile::write(std::string_view records, WallTime now) {
  while (!records.empty()) {
    const auto end = records.find('\n');
    const auto record = records.substr(0, end == std::string_view::npos ? end : end + 1);
    if (size_ > 0 && size_ + record.size() > limits_.file_bytes) rotate(now);
    append(record, now);
    records.remove_prefix(record.size());
  }
}

// One write for each record keeps followers from seeing half of one.
void LogFile::append(std::string_view record, WallTime now) {
  std::string text;
  if (dropped_ > 0 && !line_open_) {
    text = format_nano_time(now) + " stderr F moored: dropped " + std::to_string(dropped_) +
           " bytes\n";
  }
  text += record;
  const auto put = file_ ? ::write(file_.get(), text.data(), text.size()) : -1;
  if (put == static_cast<ssize_t>(text.size())) {
    if (text.size() > record.size()) dropped_ = 0;
    size_ += text.size();
    line_open_ = !ends_line(record);
    return;
  }
  // A torn record would join with the next one: take it back.
  if (put > 0 && ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
    size_ += static_cast<std::size_t>(put);
  }
  dropped_ += record.size();
  dropped_total_ += record.size();
}

// Followers hold the old file by its descriptor and notice that the name is another one now.
void LogFile::rotate(WallTime now) {
  if (line_open_ && size_ < limits_.file_bytes + limits_.line_bytes) return;
  std::string aside = path_ + "." + compact_time(now);
  for (int i = 1; path_exists(aside) && i < 1000; ++i) {
    aside = path_ + "." + compact_time(now) + "-" + std::to_string(1000 + i).substr(1);
  }
  if (::rename(path_.c_str(), aside.c_str()) != 0) return;
  // If no new file can be made the old one goes on: output before order.
  UniqueFd old = std::move(file_);
  if (open()) {
    remove_oldest();
  } else {
    file_ = std::move(old);
  }
}

void LogFile::remove_oldest() const {
  const auto slash = path_.find_last_of('/');
  const std::string directory = slash == std::string::npos ? "." : path_.substr(0, slash);
  const std::string prefix = path_.substr(slash == std::string::npos ? 0 : slash + 1) + ".";
  auto names = list_directory(directory);
  if (!names) return;
  std::vector<std::string> old;
  for (auto& name : *names) {
    if (name.compare(0, prefix.size(), prefix) == 0) old.push_back(std::move(name));
  }
  const auto kept = static_cast<std::size_t>(std::max(limits_.files - 1, 0));
  // Names sort by time.
  for (std::size_t i = 0; i + kept < old.size(); ++i) {
    ::unlink((directory + "/" + old[i]).c_str());
  }
}

void LogFile::sync() const {
  if (file_ && size_ > 0) ::fdatasync(file_.get());
}

}  // namespace moored::shim
