// Logs as kubectl asks for them: tail, since, timestamps, limits, rotation, follow.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "runtime/agent/log_reader.hpp"

using namespace moored;

namespace {

// A log directory that goes away with the test.
class LogDirectory {
 public:
  LogDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "moored-log-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~LogDirectory() { std::filesystem::remove_all(path_); }
  LogDirectory(const LogDirectory&) = delete;
  LogDirectory& operator=(const LogDirectory&) = delete;

  const std::string& path() const { return path_; }
  void add(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name, std::ios::app | std::ios::binary) << text;
  }
  void rotate(const std::string& from, const std::string& to) const {
    std::filesystem::rename(path_ + "/" + from, path_ + "/" + to);
  }

 private:
  std::string path_;
};

std::string record(int second, const std::string& text, char tag = 'F',
                   const std::string& stream = "stdout") {
  char stamp[64];
  std::snprintf(stamp, sizeof stamp, "2026-01-02T03:04:%02d.000000001Z", second);
  return std::string(stamp) + " " + stream + " " + tag + " " + text + "\n";
}

std::string read_all(LogReader& reader, std::size_t chunk = 64U << 10U) {
  std::string out;
  for (int turn = 0; turn < 100000 && !reader.at_end(); ++turn) {
    const auto got = reader.read_more(out, chunk);
    REQUIRE(got);
    if (*got == 0 && !reader.at_end()) break;
  }
  return out;
}

std::string read_log(const LogDirectory& logs, LogQuery query, int attempt = 0) {
  auto reader = LogReader::open(logs.path(), attempt, std::move(query));
  REQUIRE(reader);
  return read_all(*reader);
}

std::string numbered(int from, int to) {
  std::string text;
  for (int i = from; i <= to; ++i) text += record(i, "line " + std::to_string(i));
  return text;
}

}  // namespace

TEST_CASE("log reader gives what the query asks for", "[agent][logs]") {
  LogDirectory logs;
  logs.add("0.log", numbered(1, 3) + record(4, "long-", 'P') + record(4, "er-", 'P') +
                        record(5, "line") + record(6, "error", 'F', "stderr") + record(7, ""));
  struct Row {
    const char* what;
    LogQuery query;
    std::string expected;
  };
  const auto at = [](const char* text) { return parse_time(text); };
  const Row rows[] = {
      {"all", {}, "line 1\nline 2\nline 3\nlong-er-line\nerror\n\n"},
      {"tail 0", {{}, 0, {}, false, false, {}}, ""},
      {"tail 1", {{}, 1, {}, false, false, {}}, "\n"},
      {"tail counts joined lines", {{}, 3, {}, false, false, {}}, "long-er-line\nerror\n\n"},
      {"tail beyond the start", {{}, 99, {}, false, false, {}},
       "line 1\nline 2\nline 3\nlong-er-line\nerror\n\n"},
      {"since", {at("2026-01-02T03:04:05Z"), {}, {}, false, false, {}}, "error\n\n"},
      {"tail after since", {at("2026-01-02T03:04:03Z"), 2, {}, false, false, {}}, "error\n\n"},
      {"limit", {{}, {}, 9, false, false, {}}, "line 1\nli"},
      {"limit nothing", {{}, {}, 0, false, false, {}}, ""},
      {"stream", {{}, {}, {}, false, false, "stderr"}, "error\n"},
      {"timestamps once a line", {{}, 3, {}, true, false, {}},
       "2026-01-02T03:04:04.000000001Z long-er-line\n"
       "2026-01-02T03:04:06.000000001Z error\n2026-01-02T03:04:07.000000001Z \n"},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    CHECK(read_log(logs, row.query) == row.expected);
  }
}

TEST_CASE("log reader keeps bytes that are no text", "[agent][logs]") {
  LogDirectory logs;
  const std::string bytes("\0\xff\r\x01 x", 6);
  logs.add("0.log", record(1, bytes) + "no record at all\n");
  CHECK(read_log(logs, {}) == bytes + "\nno record at all\n");
}

TEST_CASE("log reader finds the tail over blocks and files", "[agent][logs]") {
  LogDirectory logs;
  std::string old_text;
  for (int i = 0; i < 3000; ++i) old_text += record(1, "old " + std::to_string(i));
  logs.add("0.log.20260102-030401", old_text);
  logs.add("0.log.20260102-030402", record(2, "middle"));
  logs.add("0.log", record(3, "new"));
  logs.add("1.log", record(4, "other attempt"));
  for (const int wanted : {1, 2, 3, 1500, 2500, 3002}) {
    INFO(wanted);
    LogQuery query;
    query.tail_lines = wanted;
    const std::string out = read_log(logs, query);
    CHECK(std::count(out.begin(), out.end(), '\n') == wanted);
    CHECK(out.substr(out.size() - 4) == "new\n");
  }
  const std::string all = read_log(logs, {});
  CHECK(all.substr(0, 6) == "old 0\n");
  CHECK(all.find("other") == std::string::npos);
}

TEST_CASE("log reader output does not depend on the chunk", "[agent][logs]") {
  LogDirectory logs;
  logs.add("0.log", numbered(1, 9) + record(10, std::string(40000, 'x')));
  const std::string whole = read_log(logs, {});
  for (const std::size_t chunk : {1U, 7U, 100U, 65536U}) {
    auto reader = LogReader::open(logs.path(), 0, {});
    REQUIRE(reader);
    CHECK(read_all(*reader, chunk) == whole);
  }
}

TEST_CASE("log reader follows over a rotation until the container ends", "[agent][logs]") {
  LogDirectory logs;
  logs.add("0.log", numbered(1, 2));
  LogQuery query;
  query.follow = true;
  auto reader = LogReader::open(logs.path(), 0, query);
  REQUIRE(reader);
  CHECK(reader->change_fd() >= 0);
  CHECK(read_all(*reader) == "line 1\nline 2\n");
  CHECK_FALSE(reader->at_end());

  logs.add("0.log", record(3, "half")  // a record that is still being written
                        .substr(0, 20));
  CHECK(read_all(*reader).empty());
  logs.add("0.log", record(3, "half").substr(20));
  CHECK(read_all(*reader) == "half\n");

  logs.add("0.log", numbered(4, 4));
  logs.rotate("0.log", "0.log.20260102-030404");
  logs.add("0.log", numbered(5, 5));
  logs.rotate("0.log", "0.log.20260102-030405");
  logs.add("0.log", numbered(6, 6));
  CHECK(read_all(*reader) == "line 4\nline 5\nline 6\n");
  CHECK_FALSE(reader->at_end());
  reader->finish();
  CHECK(read_all(*reader).empty());
  CHECK(reader->at_end());
}

TEST_CASE("log reader follows from an empty tail", "[agent][logs]") {
  LogDirectory logs;
  logs.add("0.log", numbered(1, 5));
  LogQuery query;
  query.follow = true;
  query.tail_lines = 0;
  auto reader = LogReader::open(logs.path(), 0, query);
  REQUIRE(reader);
  CHECK(read_all(*reader).empty());
  logs.add("0.log", numbered(6, 6));
  CHECK(read_all(*reader) == "line 6\n");
}

TEST_CASE("log reader refuses links, directories and missing logs", "[agent][logs]") {
  LogDirectory logs;
  logs.add("target", "secret\n");
  std::filesystem::create_symlink(logs.path() + "/target", logs.path() + "/0.log");
  std::filesystem::create_directory(logs.path() + "/1.log");
  const auto code = [&](int attempt) {
    auto reader = LogReader::open(logs.path(), attempt, {});
    REQUIRE_FALSE(reader);
    return reader.error().code;
  };
  CHECK(code(0) == Code::denied);
  CHECK(code(1) == Code::denied);
  CHECK(code(2) == Code::not_found);
  REQUIRE(::mkfifo((logs.path() + "/3.log").c_str(), 0600) == 0);
  std::filesystem::create_hard_link(logs.path() + "/target", logs.path() + "/4.log");
  CHECK(code(3) == Code::denied);
  CHECK(code(4) == Code::denied);
  CHECK(LogReader::open(logs.path() + "/none", 0, {}).error().code == Code::not_found);
}

TEST_CASE("which attempt a log request means", "[agent][logs]") {
  ContainerStatus fresh;
  CHECK_FALSE(find_log_attempt(fresh, false));
  CHECK_FALSE(find_log_attempt(fresh, true));

  ContainerStatus running;
  running.state.running.emplace();
  CHECK(find_log_attempt(running, false) == 0);
  CHECK_FALSE(find_log_attempt(running, true));
  running.restart_count = 2;
  running.last_state.terminated.emplace();
  CHECK(find_log_attempt(running, false) == 2);
  CHECK(find_log_attempt(running, true) == 1);

  ContainerStatus backing_off = running;
  backing_off.state = {};
  backing_off.state.waiting.emplace();
  CHECK(find_log_attempt(backing_off, false) == 2);
  CHECK(find_log_attempt(backing_off, true) == 2);
}

TEST_CASE("the pod's log directory", "[agent][logs]") {
  ObjectMeta meta;
  meta.namespace_name = "shop";
  meta.name = "web-0";
  meta.uid = "u-1";
  CHECK(pod_log_directory("/var/log/moored", meta) == "/var/log/moored/pods/shop_web-0_u-1");
}
