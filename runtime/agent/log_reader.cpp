#include "runtime/agent/log_reader.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "schema/host/file.hpp"

namespace moored {
namespace {

// A record longer than this is no log record of ours; it is passed on in pieces.
constexpr std::size_t kMaxRecordBytes = 256U << 10U;
constexpr std::size_t kReadBytes = 64U << 10U;
// A log has at most this many files; more are a sign of foreign files in the directory.
constexpr std::size_t kMaxFiles = 64;

// The four parts of "<time> <stream> <P|F> <bytes>".
struct Record {
  std::string_view time;
  std::string_view stream;
  bool partial = false;
  std::string_view text;
};

// Nothing: the line is no record of ours.
std::optional<Record> parse_record(std::string_view line) {
  Record record;
  const auto first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = line.find(' ', first + 1);
  if (second == std::string_view::npos || second + 2 > line.size()) return std::nullopt;
  record.time = line.substr(0, first);
  record.stream = line.substr(first + 1, second - first - 1);
  if (record.stream != "stdout" && record.stream != "stderr") return std::nullopt;
  const char tag = line[second + 1];
  if (tag != 'P' && tag != 'F') return std::nullopt;
  record.partial = tag == 'P';
  const auto third = second + 2;
  if (third < line.size() && line[third] != ' ') return std::nullopt;
  record.text = third < line.size() ? line.substr(third + 1) : std::string_view{};
  return record;
}

// Reads up to size bytes at an offset, through interruptions.
Result<std::size_t> read_at(int fd, char* buffer, std::size_t size, std::int64_t offset) {
  while (true) {
    const ssize_t got = ::pread(fd, buffer, size, offset);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return Unexpected(system_error("read log", errno));
  }
}

// Counts lines from the end of a log backwards and says where the wanted tail starts.
class TailSearch {
 public:
  explicit TailSearch(std::int64_t lines) : wanted_(lines) {}

  // Looks through one file, the newest first. Gives the start offset once it lies in this file.
  Result<std::optional<std::int64_t>> search(int fd, std::int64_t size) {
    std::string block;  // what was read and not yet judged, from offset `start` on
    std::int64_t start = size;
    while (start > 0) {
      const auto step = std::min<std::int64_t>(start, static_cast<std::int64_t>(kReadBytes));
      std::string piece(static_cast<std::size_t>(step), '\0');
      MOORED_TRY(const auto got, read_at(fd, piece.data(), piece.size(), start - step));
      if (got != piece.size()) return fail(Code::corrupt, "log became shorter while it was read");
      start -= step;
      block.insert(0, piece);
      if (auto found = judge(block, start, start == 0)) return found;
    }
    return std::optional<std::int64_t>{};
  }

 private:
  // Judges the whole records at the end of block; leaves the cut one at its front.
  std::optional<std::int64_t> judge(std::string& block, std::int64_t start, bool first) {
    while (!block.empty()) {
      // A record without its newline is still being written and does not count yet.
      const bool terminated = block.back() == '\n';
      const auto from = terminated ? block.size() - 1 : block.size();
      const auto newline = from == 0 ? std::string::npos : block.rfind('\n', from - 1);
      if (newline == std::string::npos && !first) return std::nullopt;
      const auto begin = newline == std::string::npos ? 0 : newline + 1;
      const auto record = parse_record(std::string_view(block).substr(begin, from - begin));
      const bool ends_line = !record || !record->partial;
      if (terminated && (ends_line || !any_)) {
        if (counted_ == wanted_) return start + static_cast<std::int64_t>(block.size());
        ++counted_;
        any_ = true;
      }
      block.resize(begin);
    }
    return std::nullopt;
  }

  std::int64_t wanted_;
  std::int64_t counted_ = 0;
  bool any_ = false;
};

}  // namespace

// As the kubelet names it, so that log collectors find pod and namespace in the path.
std::string pod_log_directory(const std::string& log_dir, const ObjectMeta& pod) {
  return log_dir + "/pods/" + pod.namespace_name + "_" + pod.name + "_" + pod.uid;
}

// Attempts count from 0 like restarts. While a container waits to be started again, the
// count is still that of the run that ended.
std::optional<int> find_log_attempt(const ContainerStatus& status, bool previous) {
  const bool lives = status.state.running || status.state.terminated;
  const bool ended_before = status.last_state.terminated.has_value();
  if (!previous) {
    if (lives || ended_before) return status.restart_count;
    return std::nullopt;
  }
  if (!ended_before) return std::nullopt;
  return lives ? status.restart_count - 1 : status.restart_count;
}

LogReader::LogReader(std::string directory, int attempt, LogQuery query)
    : directory_(std::move(directory)),
      name_(std::to_string(attempt) + ".log"),
      query_(std::move(query)) {}

Result<LogReader> LogReader::open(std::string directory, int attempt, LogQuery query) {
  LogReader reader(std::move(directory), attempt, std::move(query));
  if (reader.query_.follow) {
    // The watch comes before the first look, so that no change falls between the two.
    reader.watch_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!reader.watch_) return Unexpected(system_error("watch log", errno));
    constexpr unsigned kEvents = IN_MODIFY | IN_CREATE | IN_MOVED_TO;
    ::inotify_add_watch(reader.watch_.get(), reader.directory_.c_str(), kEvents);
  }
  MOORED_CHECK(reader.open_files());
  if (reader.query_.tail_lines) MOORED_CHECK(reader.seek_tail(*reader.query_.tail_lines));
  return reader;
}

// Opens every file of the attempt that is not held yet, oldest first.
Status LogReader::open_files() {
  auto names = list_directory(directory_);
  if (!names) return Unexpected(std::move(names).error());
  std::vector<std::string> wanted;  // sorted: rotation stamps sort by time
  for (const auto& name : *names) {
    if (name.size() > name_.size() && name.rfind(name_ + ".", 0) == 0) wanted.push_back(name);
  }
  wanted.push_back(name_);
  if (wanted.size() > kMaxFiles) return fail(Code::exhausted, "more than 64 files of one log");
  for (const auto& name : wanted) {
    const std::string path = directory_ + "/" + name;
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    if (!fd && errno == ENOENT) continue;  // rotated away between the look and the open
    if (!fd && errno == ELOOP) return fail(Code::denied, "log is a symbolic link");
    if (!fd) return Unexpected(system_error("open log", errno));
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return Unexpected(system_error("open log", errno));
    if (!S_ISREG(status.st_mode)) return fail(Code::denied, "log is no plain file");
    if (status.st_nlink > 1) return fail(Code::denied, "log is another file's second name");
    const std::uint64_t inode = status.st_ino;
    const auto held = [&](const File& file) { return file.inode == inode; };
    if (std::none_of(files_.begin(), files_.end(), held)) files_.push_back({std::move(fd), inode});
  }
  if (files_.empty()) return fail(Code::not_found, "there is no log of this attempt");
  return {};
}

// Puts the reading position where the wanted lines start, over as many files as it takes.
Status LogReader::seek_tail(std::int64_t lines) {
  TailSearch search(std::max<std::int64_t>(lines, 0));
  for (std::size_t i = files_.size(); i-- > 0;) {
    struct stat status {};
    if (::fstat(files_[i].fd.get(), &status) != 0) {
      return Unexpected(system_error("read log", errno));
    }
    MOORED_TRY(const auto start, search.search(files_[i].fd.get(), status.st_size));
    if (start) {
      current_ = i;
      offset_ = *start;
      return {};
    }
  }
  if (lines <= 0) {  // an empty log: everything that comes later is new
    current_ = files_.size() - 1;
  }
  return {};
}

Result<std::size_t> LogReader::read_more(std::string& out, std::size_t chunk) {
  const std::size_t before = out.size();
  if (watch_) {
    std::array<char, 4096> events;
    // Only emptied: the files themselves say what is new, an event says just that something
    // is.
    while (::read(watch_.get(), events.data(), events.size()) > 0) {
    }
  }
  while (!done_ && out.size() - before < chunk) {
    const bool was_full = take_records(out, chunk - (out.size() - before));
    if (done_ || was_full) break;
    MOORED_TRY(const bool more, refill());
    if (more) continue;
    MOORED_TRY(const bool switched, next_file());
    if (switched) continue;
    done_ = !query_.follow;
    break;
  }
  return out.size() - before;
}

// Reads on in the current file. False: its end is reached.
Result<bool> LogReader::refill() {
  // Once for each block, not for each record: erasing at the front moves the rest.
  pending_.erase(0, taken_);
  taken_ = 0;
  const std::size_t had = pending_.size();
  pending_.resize(had + kReadBytes);
  auto got = read_at(files_[current_].fd.get(), pending_.data() + had, kReadBytes, offset_);
  pending_.resize(had + (got ? *got : 0));
  if (!got) return Unexpected(std::move(got).error());
  offset_ += static_cast<std::int64_t>(*got);
  return *got > 0;
}

// Goes to the file after the current one, looking for a rotation when it was the last.
Result<bool> LogReader::next_file() {
  if (current_ + 1 == files_.size()) {
    struct stat status {};
    const std::string path = directory_ + "/" + name_;
    const bool missing = ::lstat(path.c_str(), &status) != 0;
    const bool same = missing || status.st_ino == files_[current_].inode;
    if (same) return false;
    // Between our end of file and the rename more may have been written to the old file.
    MOORED_TRY(const bool more, refill());
    if (more) return true;
    MOORED_CHECK(open_files());
    if (current_ + 1 == files_.size()) return false;
  }
  files_[current_].fd.reset();
  ++current_;
  offset_ = 0;
  return true;
}

// Turns whole records of pending_ into output. True: about chunk bytes were written.
bool LogReader::take_records(std::string& out, std::size_t chunk) {
  const std::size_t before = out.size();
  while (!done_) {
    if (out.size() - before >= chunk) return true;
    const auto newline = pending_.find('\n', taken_);
    if (newline == std::string::npos) {
      if (pending_.size() - taken_ <= kMaxRecordBytes) return false;
      append(std::string_view(pending_).substr(taken_), out);
      taken_ = pending_.size();
      return false;
    }
    emit(std::string_view(pending_).substr(taken_, newline - taken_), out);
    taken_ = newline + 1;
  }
  return true;
}

// Writes one record. A line that is no record is passed on as it is.
void LogReader::emit(std::string_view line, std::string& out) {
  const auto record = parse_record(line);
  if (!record) {
    append(line, out);
    append("\n", out);
    line_open_ = false;
    return;
  }
  if (!query_.stream.empty() && record->stream != query_.stream) return;
  if (!line_open_ && !skipping_ && query_.since) {
    const auto time = parse_time(record->time);
    // Decided where a line starts, so that a line in pieces is shown whole or not at all.
    skipping_ = time && *time < *query_.since;
  }
  if (skipping_) {
    skipping_ = record->partial;
    return;
  }
  if (!line_open_ && query_.timestamps) {
    append(record->time, out);
    append(" ", out);
  }
  append(record->text, out);
  if (!record->partial) append("\n", out);
  line_open_ = record->partial;
}

// Writes text up to the limit, and ends the reading there.
void LogReader::append(std::string_view text, std::string& out) {
  if (query_.limit_bytes) {
    const auto room = static_cast<std::size_t>(
        std::max<std::int64_t>(*query_.limit_bytes - written_, 0));
    if (text.size() >= room) done_ = true;
    text = text.substr(0, std::min(room, text.size()));
  }
  out.append(text);
  written_ += static_cast<std::int64_t>(text.size());
}

}  // namespace moored
