// Files, digests and processes against the real machine, in a directory of the test's own.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <sstream>
#include <string>
#include <thread>

#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"
#include "schema/host/spawn.hpp"

using namespace moored;
using namespace std::chrono_literals;

namespace {

// A directory that goes away with the test.
struct Scratch {
  std::string path;
  Scratch() {
    std::string name = "/tmp/moored-test-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Scratch() { static_cast<void>(remove_tree(path)); }
};

SpawnRequest shell(const std::string& script) {
  SpawnRequest request;
  request.program = "/bin/sh";
  request.arguments = {"sh", "-c", script};
  request.environment = {"PATH=/usr/bin:/bin", "COLOUR=blue"};
  return request;
}

}  // namespace

TEST_CASE("a file is read whole, with a limit") {
  const Scratch scratch;
  const std::string path = scratch.path + "/a";
  REQUIRE(write_file(path, "hello", true));
  CHECK(*read_file(path) == "hello");
  CHECK(*read_file(path, 5) == "hello");
  CHECK(read_file(path, 4).error().code == Code::exhausted);
  CHECK(read_file(scratch.path + "/none").error().code == Code::not_found);
  CHECK(read_file("/proc/self/status")->find("Pid:") != std::string::npos);
}

TEST_CASE("read_file_at follows no link and opens only regular files") {
  const Scratch scratch;
  REQUIRE(write_file(scratch.path + "/real", "x", true));
  REQUIRE(::symlink("real", (scratch.path + "/link").c_str()) == 0);
  REQUIRE(::mkfifo((scratch.path + "/fifo").c_str(), 0600) == 0);
  const UniqueFd directory(::open(scratch.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK(*read_file_at(directory.get(), "real") == "x");
  CHECK(read_file_at(directory.get(), "link").error().code == Code::invalid);
  CHECK(read_file_at(directory.get(), "fifo").error().code == Code::invalid);
}

TEST_CASE("a durable write replaces the file and leaves nothing beside it") {
  const Scratch scratch;
  const std::string path = scratch.path + "/state.json";
  REQUIRE(write_file_durably(path, "one"));
  REQUIRE(write_file_durably(path, "two", 0640));
  CHECK(*read_file(path) == "two");
  CHECK(*list_directory(scratch.path) == std::vector<std::string>{"state.json"});
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("a durable write that fails keeps the old file and removes its own") {
  const Scratch scratch;
  const std::string path = scratch.path + "/taken";
  REQUIRE(make_directories(path + "/inside"));
  CHECK_FALSE(write_file_durably(path, "text"));  // a directory cannot be replaced
  CHECK(*list_directory(scratch.path) == std::vector<std::string>{"taken"});
  CHECK(write_file_durably(scratch.path + "/no/such", "x").error().code == Code::not_found);
}

TEST_CASE("write_file shortens, and creates only when asked") {
  const Scratch scratch;
  const std::string path = scratch.path + "/b";
  CHECK(write_file(path, "x").error().code == Code::not_found);
  REQUIRE(write_file(path, "longer", true));
  REQUIRE(write_file(path, "s"));
  CHECK(*read_file(path) == "s");
}

TEST_CASE("make_directories makes parents and accepts what is there") {
  const Scratch scratch;
  CHECK(make_directories(scratch.path + "/a/b/c"));
  CHECK(make_directories(scratch.path + "/a/b/c"));
  REQUIRE(write_file(scratch.path + "/file", "", true));
  CHECK(make_directories(scratch.path + "/file").error().code == Code::invalid);
  CHECK_FALSE(make_directories(scratch.path + "/file/x"));
  CHECK_FALSE(make_directories(""));
}

TEST_CASE("remove_tree removes links and never what they point to") {
  const Scratch scratch;
  REQUIRE(make_directories(scratch.path + "/canary/inner"));
  REQUIRE(make_directories(scratch.path + "/tree/x/y"));
  REQUIRE(::symlink("../canary", (scratch.path + "/tree/link").c_str()) == 0);
  REQUIRE(write_file(scratch.path + "/tree/x/file", "1", true));
  REQUIRE(remove_tree(scratch.path + "/tree"));
  CHECK_FALSE(path_exists(scratch.path + "/tree"));
  CHECK(path_exists(scratch.path + "/canary/inner"));
  CHECK(remove_tree(scratch.path + "/tree"));
  CHECK(remove_tree(scratch.path + "/no/such/tree"));
}

TEST_CASE("remove_tree manages trees deeper than a path may be long") {
  const Scratch scratch;
  UniqueFd at(::open(scratch.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(::mkdirat(at.get(), "directory-with-a-name", 0700) == 0);
    at.reset(::openat(at.get(), "directory-with-a-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at);
  }
  CHECK(remove_tree(scratch.path + "/directory-with-a-name"));
  CHECK(list_directory(scratch.path)->empty());
}

TEST_CASE("a lock is held as long as its descriptor lives") {
  const Scratch scratch;
  const std::string path = scratch.path + "/lock";
  {
    const auto held = lock_file(path);
    REQUIRE(held);
    CHECK(lock_file(path).error().code == Code::conflict);
  }
  CHECK(lock_file(path));
}

TEST_CASE("path_exists does not follow the last link") {
  const Scratch scratch;
  REQUIRE(::symlink("nowhere", (scratch.path + "/dangling").c_str()) == 0);
  CHECK(path_exists(scratch.path + "/dangling"));
  CHECK_FALSE(path_exists(scratch.path + "/absent"));
  CHECK(list_directory(scratch.path + "/absent").error().code == Code::not_found);
}

TEST_CASE("digests agree with the published vectors") {
  // FIPS 180-4 examples and RFC 4231 case 2.
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hmac_sha256_hex("Jefe", "what do ya want for nothing?") ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  Sha256 pieces;
  pieces.update("a");
  pieces.update("");
  pieces.update("bc");
  CHECK(pieces.finish_hex() == sha256_hex("abc"));
}

TEST_CASE("base64 agrees with RFC 4648 and is strict") {
  const std::array<std::pair<const char*, const char*>, 7> rows{{{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"fooba", "Zm9vYmE="},
                                                                 {"foobar", "Zm9vYmFy"}}};
  for (const auto& row : rows) {
    std::string back;
    CHECK(base64_encode(row.first) == row.second);
    CHECK(base64_decode(row.second, back));
    CHECK(back == row.first);
  }
  for (const char* bad :
       {"Zg", "Zg=", "Z===", "Zg==Zg==", "Zm9 ", "Zh==", "Zm9=", "Zm9-", "===="}) {
    std::string back;
    INFO(bad);
    CHECK_FALSE(base64_decode(bad, back));
  }
}

TEST_CASE("spawn gives the child only what was named") {
  const auto ran = run_command(shell("echo $COLOUR; ls /proc/self/fd; echo end >&2"), "", 10s);
  REQUIRE(ran);
  // 3 is ls reading the directory.
  CHECK(ran->out == "blue\n0\n1\n2\n3\n");
  CHECK(ran->err == "end\n");
  CHECK(ran->status.code == 0);
}

TEST_CASE("spawn places descriptors without one overwriting another") {
  std::array<int, 2> first{};
  std::array<int, 2> second{};
  REQUIRE(::pipe2(first.data(), O_CLOEXEC) == 0);
  REQUIRE(::pipe2(second.data(), O_CLOEXEC) == 0);
  const UniqueFd first_read(first[0]), second_read(second[0]);
  UniqueFd first_write(first[1]), second_write(second[1]);
  auto request = shell("echo one >&5; echo two >&4; test ! -e /proc/self/fd/3");
  request.descriptors = {{first_write.get(), 5}, {second_write.get(), 4}};
  const auto child = spawn(request);
  REQUIRE(child);
  first_write.reset();
  second_write.reset();
  CHECK(wait_child(*child, 10s)->code == 0);
  std::array<char, 16> text{};
  CHECK(std::string(text.data(), static_cast<std::size_t>(::read(first_read.get(), text.data(),
                                                                 text.size()))) == "one\n");
  CHECK(std::string(text.data(), static_cast<std::size_t>(::read(second_read.get(), text.data(),
                                                                 text.size()))) == "two\n");
}

TEST_CASE("input reaches the child, and one that does not read it is no error") {
  const std::string large(1U << 20U, 'x');
  const auto counted = run_command(shell("wc -c"), large, 10s);
  REQUIRE(counted);
  CHECK(counted->out == "1048576\n");
  const auto refused = run_command(shell("exec <&-; echo done"), large, 10s);
  REQUIRE(refused);
  CHECK(refused->out == "done\n");
}

TEST_CASE("output above the limit is thrown away, not waited for") {
  const auto ran = run_command(shell("head -c 3000000 /dev/zero; exit 3"), "", 10s, 1000);
  REQUIRE(ran);
  CHECK(ran->out.size() == 1000);
  CHECK(ran->status.code == 3);
}

TEST_CASE("at the deadline the whole group is killed") {
  const Scratch scratch;
  const auto ran =
      run_command(shell("sleep 1000 & echo $! > " + scratch.path + "/pid; wait"), "", 500ms);
  REQUIRE_FALSE(ran);
  CHECK(ran.error().code == Code::timeout);
  const auto pid = read_file(scratch.path + "/pid");
  if (pid) {
    // Reaped by whoever adopts it; until then it is a zombie, never running.
    const auto state = read_file("/proc/" + std::to_string(std::stoi(*pid)) + "/stat");
    CHECK((!state || state->find(") S") == std::string::npos));
  }
}

TEST_CASE("a signal is told apart from an exit code") {
  const auto child = spawn(shell("exec sleep 1000"));
  REQUIRE(child);
  CHECK(wait_child(*child, 1ms).error().code == Code::timeout);
  REQUIRE(kill_group(*child, SIGKILL));
  const auto status = wait_child(*child, 10s);
  REQUIRE(status);
  CHECK(status->signal == SIGKILL);
  CHECK_FALSE(status->code);
  CHECK(kill_group(*child, SIGKILL).error().code == Code::not_found);
}

TEST_CASE("signal state of the parent stays with the parent") {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  REQUIRE(pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0);
  const auto ran = run_command(shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"), "", 10s);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  REQUIRE(ran);
  std::istringstream words(ran->out);
  std::string name;
  std::uint64_t mask_blocked = 1;
  std::uint64_t mask_ignored = 1;
  words >> name >> std::hex >> mask_blocked >> name >> std::hex >> mask_ignored;
  CHECK(mask_blocked == 0);
  // Signals 32 and 33 belong to the C library; nobody can reset them in a child.
  CHECK((mask_ignored & ~0x180000000ULL) == 0);
}

TEST_CASE("new_session makes the child its own session leader") {
  auto request = shell("cut -d' ' -f1,5,6 /proc/$$/stat");
  request.new_session = true;
  const auto ran = run_command(request, "", 10s);
  REQUIRE(ran);
  std::istringstream words(ran->out);
  std::string pid, group, session;
  words >> pid >> group >> session;
  CHECK(pid == group);
  CHECK(pid == session);
}

TEST_CASE("a sealed copy can be started although the child closes its descriptors") {
  const UniqueFd program(::open("/bin/echo", O_RDONLY | O_CLOEXEC));
  REQUIRE(program);
  SpawnRequest request;
  request.program = "/proc/self/fd/" + std::to_string(program.get());
  request.arguments = {"echo", "hi"};
  const auto ran = run_command(request, "", 10s);
  REQUIRE(ran);
  CHECK(ran->out == "hi\n");
}

TEST_CASE("a program that is not there is an error of spawn") {
  SpawnRequest request;
  request.program = "/no/such/program";
  request.arguments = {"x"};
  CHECK(spawn(request).error().code == Code::not_found);
}

TEST_CASE("several threads may run commands at once") {
  std::array<std::string, 4> out;
  {
    std::array<std::thread, 4> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) {
      threads[i] = std::thread([&out, i] {
        const auto ran = run_command(shell("cat"), std::to_string(i), 20s);
        if (ran) out[i] = ran->out;
      });
    }
    for (auto& thread : threads)
      thread.join();
  }
  for (std::size_t i = 0; i < out.size(); ++i)
    CHECK(out[i] == std::to_string(i));
}

TEST_CASE("a process is identified by its start time and boot") {
  const auto own = read_start_time(::getpid());
  REQUIRE(own);
  CHECK(*own > 0);
  CHECK(read_start_time(::getpid()).value_or(0) == *own);
  const auto later = spawn(shell("read x"));
  REQUIRE(later);
  CHECK(read_start_time(later->pid).value_or(0) >= *own);
  CHECK(wait_child(*later, 10s));
  CHECK(read_start_time(later->pid).error().code == Code::not_found);
  CHECK(open_pidfd(later->pid).error().code == Code::not_found);
  CHECK(read_boot_id()->size() == 36);
}
