// Log records: their borders depend on the bytes alone; files rotate between lines.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <sstream>
#include <string>

#include "runtime/shim/log_file.hpp"
#include "runtime/shim/memory_watch.hpp"
#include "schema/base/random.hpp"
#include "schema/host/file.hpp"

using namespace moored;
using namespace moored::shim;

namespace {

constexpr WallTime kNow{std::chrono::nanoseconds(1767323045'123456789)};
constexpr const char* kStamp = "2026-01-02T03:04:05.123456789Z";

std::string frame(const std::string& bytes, const std::vector<std::size_t>& cuts) {
  LogFramer framer("stdout");
  std::string records;
  std::size_t at = 0;
  for (const auto cut : cuts) {
    framer.feed(std::string_view(bytes).substr(at, cut - at), kNow, records);
    at = cut;
  }
  framer.feed(std::string_view(bytes).substr(at), kNow, records);
  framer.finish(kNow, records);
  return records;
}

std::string line(const std::string& stream, const std::string& tag, const std::string& text) {
  return std::string(kStamp) + " " + stream + " " + tag + " " + text + "\n";
}

struct Scratch {
  std::string path;
  Scratch() {
    std::string name = "/tmp/moored-log-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Scratch() { static_cast<void>(remove_tree(path)); }
};

}  // namespace

TEST_CASE("lines become records") {
  CHECK(frame("one\ntwo\n", {}) == line("stdout", "F", "one") + line("stdout", "F", "two"));
  CHECK(frame("\n\n", {}) == line("stdout", "F", "") + line("stdout", "F", ""));
  CHECK(frame("open", {}) == line("stdout", "P", "open"));
  CHECK(frame("", {}).empty());
  CHECK(frame("a\rb\n", {}) == line("stdout", "F", "a\rb"));
}

TEST_CASE("a long line is cut into partial records and joins again") {
  const std::string exact(kMaxRecordBytes, 'x');
  CHECK(frame(exact + "\n", {}) == line("stdout", "F", exact));
  CHECK(frame(exact + "y\n", {}) == line("stdout", "P", exact) + line("stdout", "F", "y"));
  CHECK(frame(exact, {}) == line("stdout", "P", exact));
  CHECK(frame(exact + exact + "\n", {}) == line("stdout", "P", exact) + line("stdout", "F", exact));
}

TEST_CASE("records do not depend on how the bytes arrive") {
  SeededRandom random(2026);
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    while (bytes.size() < 60'000) {
      const auto kind = random.below(10);
      const auto length = kind == 0 ? 16'380 + random.below(10) : random.below(300);
      bytes.append(length, static_cast<char>('a' + random.below(26)));
      if (kind < 8) bytes += '\n';
    }
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; (at += 1 + random.below(9000)) < bytes.size();)
      cuts.push_back(at);
    REQUIRE(frame(bytes, cuts) == frame(bytes, {}));
  }
}

TEST_CASE("a file is appended to and rotates when it is full") {
  const Scratch scratch;
  const std::string path = scratch.path + "/0.log";
  LogLimits limits;
  limits.file_bytes = 200;
  limits.files = 3;
  auto log = LogFile::create(path, limits);
  REQUIRE(log);
  for (int i = 0; i < 20; ++i) {
    log->write(line("stdout", "F", "number " + std::to_string(i)), kNow);
  }
  const auto names = list_directory(scratch.path);
  CHECK(names->size() == 3);
  CHECK(read_file(path)->find("number 19\n") != std::string::npos);
  for (const auto& name : *names)
    CHECK(read_file(scratch.path + "/" + name)->size() <= 200);
  CHECK(log->dropped_bytes() == 0);
  auto again = LogFile::create(path, limits);
  REQUIRE(again);
  again->write(line("stdout", "F", "x"), kNow);
  CHECK(*read_file(path) == line("stdout", "F", "x"));  // the full one was put aside
}

TEST_CASE("a line that is cut stays in one file") {
  const Scratch scratch;
  LogLimits limits;
  limits.file_bytes = 100;
  auto log = LogFile::create(scratch.path + "/0.log", limits);
  REQUIRE(log);
  log->write(line("stdout", "P", std::string(60, 'a')), kNow);
  log->write(line("stdout", "P", std::string(60, 'b')), kNow);
  log->write(line("stdout", "F", "end"), kNow);
  CHECK(list_directory(scratch.path)->size() == 1);
  log->write(line("stdout", "F", "next"), kNow);
  CHECK(list_directory(scratch.path)->size() == 2);
  CHECK(*read_file(scratch.path + "/0.log") == line("stdout", "F", "next"));
}

TEST_CASE("a line without an end does not keep a file growing") {
  const Scratch scratch;
  LogLimits limits;
  limits.file_bytes = 1000;
  limits.line_bytes = 200;
  limits.files = 3;
  auto log = LogFile::create(scratch.path + "/0.log", limits);
  REQUIRE(log);
  for (int i = 0; i < 100; ++i) log->write(line("stdout", "P", std::string(60, 'a')), kNow);
  const auto names = list_directory(scratch.path);
  CHECK(names->size() == 3);
  for (const auto& name : *names) {
    const auto text = *read_file(scratch.path + "/" + name);
    CHECK(text.size() <= 1200 + line("stdout", "P", std::string(60, 'a')).size());
    CHECK(text.back() == '\n');
  }
  log->write(line("stdout", "F", "end"), kNow);
  CHECK(log->dropped_bytes() == 0);
}

TEST_CASE("rotation can be asked for") {
  const Scratch scratch;
  auto log = LogFile::create(scratch.path + "/0.log", {});
  REQUIRE(log);
  log->write(line("stdout", "F", "old"), kNow);
  log->rotate(kNow);
  log->write(line("stdout", "F", "new"), kNow);
  CHECK(*read_file(scratch.path + "/0.log") == line("stdout", "F", "new"));
  CHECK(*read_file(scratch.path + "/0.log.20260102-030405") == line("stdout", "F", "old"));
}

TEST_CASE("a log never goes through a link or into something else") {
  const Scratch scratch;
  REQUIRE(write_file(scratch.path + "/target", "keep", true));
  REQUIRE(::symlink("target", (scratch.path + "/link").c_str()) == 0);
  CHECK_FALSE(LogFile::create(scratch.path + "/link", {}));
  REQUIRE(::mkfifo((scratch.path + "/fifo").c_str(), 0600) == 0);
  CHECK_FALSE(LogFile::create(scratch.path + "/fifo", {}));
  CHECK_FALSE(LogFile::create(scratch.path + "/absent/0.log", {}));
  CHECK(*read_file(scratch.path + "/target") == "keep");
}

TEST_CASE("counters of kills are read from both versions' files") {
  CHECK(parse_oom_kill_count("low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\noom_group_kill 1\n") == 3);
  CHECK(parse_oom_kill_count("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n") == 7);
  CHECK(parse_oom_kill_count("oom_kill 9") == 9);
  CHECK(parse_oom_kill_count("") == 0);
  CHECK(parse_oom_kill_count("oom_kill_disable 1\n") == 0);
}

TEST_CASE("the head of a file is read without following a link") {
  const Scratch scratch;
  REQUIRE(write_file(scratch.path + "/f", std::string(5000, 'x'), true));
  CHECK(read_file_head(scratch.path, "f", 4096)->size() == 4096);
  CHECK(read_file_head(scratch.path, "f", 9000)->size() == 5000);
  REQUIRE(::symlink("f", (scratch.path + "/l").c_str()) == 0);
  REQUIRE(::mkfifo((scratch.path + "/p").c_str(), 0600) == 0);
  CHECK_FALSE(read_file_head(scratch.path, "l", 10));
  CHECK_FALSE(read_file_head(scratch.path, "p", 10));
  CHECK_FALSE(read_file_head(scratch.path, "absent", 10));
}
