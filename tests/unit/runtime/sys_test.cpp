// Wrappers of the kernel, as far as they need no rights.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <string>

#include "runtime/shim/loop.hpp"
#include "runtime/sys/memfd.hpp"
#include "runtime/sys/mount.hpp"
#include "runtime/sys/process.hpp"
#include "runtime/sys/socket.hpp"
#include "schema/host/file.hpp"

using namespace moored;
using namespace std::chrono_literals;

namespace {

struct Scratch {
  std::string path;
  UniqueFd root;
  Scratch() {
    std::string name = "/tmp/moored-sys-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    REQUIRE(make_directories(path + "/root/etc", 0755));
    REQUIRE(make_directories(path + "/outside", 0755));
    root.reset(::open((path + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~Scratch() { static_cast<void>(remove_tree(path)); }
  void link(const std::string& target, const std::string& name) const {
    REQUIRE(::symlink(target.c_str(), (path + "/root/" + name).c_str()) == 0);
  }
};

}  // namespace

TEST_CASE("paths are split into their parts, and .. is no part") {
  CHECK(*sys::split_inside("/a//b/./c/") == std::vector<std::string>{"a", "b", "c"});
  CHECK(sys::split_inside("")->empty());
  CHECK(sys::split_inside("/")->empty());
  CHECK(*sys::split_inside("..a/b..") == std::vector<std::string>{"..a", "b.."});
  CHECK_FALSE(sys::split_inside("a/../b"));
  CHECK_FALSE(sys::split_inside(".."));
}

TEST_CASE("inside a root links lead no further than the root") {
  const Scratch scratch;
  scratch.link("/etc", "absolute");
  scratch.link("../../../../outside", "escape");
  REQUIRE(write_file(scratch.path + "/root/etc/name", "inner", true));
  const auto open = [&](const char* path) {
    return sys::open_in_root(scratch.root.get(), path, O_PATH);
  };
  CHECK(open("/absolute/name"));
  CHECK(open("/etc/../../../etc/name"));
  CHECK(open("/escape").error().code == Code::not_found);
  CHECK(sys::open_without_links(scratch.root.get(), "/etc/name", O_PATH));
  CHECK_FALSE(sys::open_without_links(scratch.root.get(), "/absolute/name", O_PATH));
}

TEST_CASE("missing parts are made inside the root only") {
  const Scratch scratch;
  scratch.link("/deep", "in");
  scratch.link("../../outside", "out");
  REQUIRE(make_directories(scratch.path + "/root/deep", 0755));
  CHECK(sys::make_in_root(scratch.root.get(), "/new/a/b", false, 0755));
  CHECK(path_exists(scratch.path + "/root/new/a/b"));
  CHECK(sys::make_in_root(scratch.root.get(), "/in/file", true, 0644));
  CHECK(path_exists(scratch.path + "/root/deep/file"));
  static_cast<void>(sys::make_in_root(scratch.root.get(), "/out/x", false, 0755));
  CHECK(list_directory(scratch.path + "/outside")->empty());
  CHECK_FALSE(sys::make_in_root(scratch.root.get(), "/a/../b", false, 0755));
  CHECK_FALSE(sys::make_in_root(scratch.root.get(), "/etc", true, 0644));
  CHECK_FALSE(sys::make_in_root(scratch.root.get(), "/deep/file", false, 0755));
  CHECK_FALSE(sys::make_in_root(scratch.root.get(), "/deep/file/x", false, 0755));
}

TEST_CASE("sub-paths stay beneath and may be made") {
  const Scratch scratch;
  scratch.link("etc", "inner");
  scratch.link("../outside", "out");
  scratch.link("/etc", "absolute");
  const int root = scratch.root.get();
  CHECK(sys::make_beneath(root, "inner", 0750));
  CHECK(sys::make_beneath(root, "x/y", 0750));
  struct stat status {};
  REQUIRE(::stat((scratch.path + "/root/x").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0750);
  for (const char* path : {"out", "out/z", "absolute", "/etc", "..", "x/../.."}) {
    INFO(path);
    CHECK_FALSE(sys::make_beneath(root, path, 0750));
  }
  CHECK(list_directory(scratch.path + "/outside")->empty());
}

TEST_CASE("a sealed file cannot be changed, by anybody") {
  const auto file = sys::make_sealed_file("test", "content", false);
  REQUIRE(file);
  CHECK(sys::is_sealed(file->get()));
  CHECK(*read_file("/proc/self/fd/" + std::to_string(file->get())) == "content");
  CHECK(::ftruncate(file->get(), 0) != 0);
  CHECK(::pwrite(file->get(), "x", 1, 0) < 0);
  const UniqueFd plain(::open("/tmp", O_PATH | O_CLOEXEC));
  CHECK_FALSE(sys::is_sealed(plain.get()));
}

TEST_CASE("messages keep their borders and tell their sender") {
  const Scratch scratch;
  const std::string deep = scratch.path + "/" + std::string(100, 'd');
  REQUIRE(make_directories(deep));
  const std::string path = deep + "/socket";  // longer than a socket address can be
  const auto listener = sys::listen_messages(path);
  REQUIRE(listener);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK_FALSE(*sys::accept_messages(listener->get()));
  const auto client = sys::connect_messages(path);
  REQUIRE(client);
  const auto server = sys::accept_messages(listener->get());
  REQUIRE(server);
  REQUIRE(*server);
  CHECK(sys::read_peer(server->get())->pid == ::getpid());
  CHECK(sys::receive_message(server->get()).error().reason == "Again");
  CHECK(sys::send_message(client->get(), "one"));
  CHECK(sys::send_message(client->get(), std::string(sys::kMaxMessageBytes, 'x')));
  CHECK(
      sys::send_message(client->get(), std::string(sys::kMaxMessageBytes + 1, 'x')).error().code ==
      Code::exhausted);
  CHECK(*sys::receive_message(server->get()) == "one");
  CHECK(sys::receive_message(server->get())->size() == sys::kMaxMessageBytes);
  CHECK(sys::listen_messages(path));  // replaces an old one
  CHECK(sys::connect_messages(scratch.path + "/none").error().code == Code::not_found);
}

TEST_CASE("a descriptor travels, and one that is not wanted is closed") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const UniqueFd left(ends[0]), right(ends[1]);
  const auto file = sys::make_sealed_file("travels", "inside", false);
  REQUIRE(sys::send_descriptor(left.get(), "take", file->get()));
  const auto received = sys::receive_descriptor(right.get());
  REQUIRE(received);
  CHECK(received->message == "take");
  CHECK(*read_file("/proc/self/fd/" + std::to_string(received->descriptor.get())) == "inside");
  CHECK((::fcntl(received->descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE(sys::send_descriptor(left.get(), "ignore", file->get()));
  const auto before = list_directory("/proc/self/fd")->size();
  CHECK(*sys::receive_message(right.get()) == "ignore");
  CHECK(list_directory("/proc/self/fd")->size() == before);
}

TEST_CASE("a cloned process is known by its descriptor alone") {
  const auto child = sys::clone_process({});
  REQUIRE(child);
  if (child->pid == 0) {
    ::pause();
    ::_exit(0);
  }
  CHECK_FALSE(sys::reap(child->pidfd.get())->has_value());
  CHECK(sys::send_signal(child->pidfd.get(), SIGKILL));
  const auto status = wait_child(*child, 10s);
  REQUIRE(status);
  CHECK(status->signal == SIGKILL);
  CHECK(sys::shell_code(*status) == 137);
  CHECK(sys::send_signal(child->pidfd.get(), SIGKILL).error().code == Code::not_found);
  ExitStatus exited;
  exited.code = 7;
  CHECK(sys::shell_code(exited) == 7);
}

TEST_CASE("the loop calls back for descriptors and moments, also when they change it") {
  auto loop = shim::Loop::create();
  REQUIRE(loop);
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  int woken = 0;
  shim::Loop::Token token = 0;
  token = *loop->watch(read_end.get(), 1 /* EPOLLIN */, [&](auto) {
    ++woken;
    loop->unwatch(token);
  });
  REQUIRE(::write(write_end.get(), "x", 1) == 1);
  REQUIRE(loop->run_once());
  CHECK(woken == 1);
  std::string order;
  const auto now = shim::Steady::now();
  shim::Loop::Token second = 0;
  loop->start_timer(now, [&] {
    order += 'a';
    loop->stop_timer(second);
    loop->start_timer(shim::Steady::now(), [&] { order += 'c'; });
  });
  second = loop->start_timer(now, [&] { order += 'b'; });
  REQUIRE(loop->run_once());
  REQUIRE(loop->run_once());
  CHECK(order == "ac");
  CHECK_FALSE(loop->change(12345, 1));
}
