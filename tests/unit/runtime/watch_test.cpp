// What is compared of running containers: parsers and judgements, without a container.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/watch/compare.hpp"
#include "runtime/watch/hints.hpp"
#include "runtime/watch/mount_table.hpp"
#include "runtime/watch/process_facts.hpp"
#include "runtime/watch/root_files.hpp"

namespace moored::watch {
namespace {

namespace fs = std::filesystem;
using Remedy = SandboxDrift::Remedy;

constexpr const char* kStat =
    "4711 (a) b) c) S 4700 4711 4711 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 10 0";
constexpr const char* kStatus =
    "Name:\ta) b) c\nState:\tS (sleeping)\nUid:\t1000\t1000\t1000\t1000\n"
    "CapInh:\t0000000000000000\nCapPrm:\t0000000000000001\nCapEff:\t0000000000000002\n"
    "CapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

// A temporary directory of a test's own.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/moored-watch-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

MadeContainer make_made() {
  MadeContainer made;
  made.name = "main";
  made.pid = 100;
  made.bounding = 0xff;
  made.filtered = true;
  made.no_new_privileges = true;
  return made;
}

ProcessFacts make_process(pid_t pid, pid_t parent) {
  ProcessFacts facts;
  facts.pid = pid;
  facts.parent = parent;
  facts.start_time = 7;
  facts.name = "sleep";
  facts.bounding = 0xff;
  facts.no_new_privileges = true;
  facts.filtered = true;
  return facts;
}

TEST_CASE("a process is read whatever its name holds", "[watch]") {
  const auto facts = parse_process(kStat, kStatus);
  REQUIRE(facts);
  CHECK(facts->pid == 4711);
  CHECK(facts->parent == 4700);
  CHECK(facts->start_time == 98765);
  CHECK(facts->name == "a) b) c");
  CHECK(facts->uid == 1000);
  CHECK(facts->permitted == 1);
  CHECK(facts->effective == 2);
  CHECK(facts->bounding == 0xa80425fb);
  CHECK(facts->no_new_privileges);
  CHECK(facts->filtered);
  CHECK_FALSE(facts->ending);
  std::string going = kStat;
  going.replace(going.find("4194560"), 7, "4194564");
  CHECK(parse_process(going, kStatus)->ending);
}

TEST_CASE("half a process is none", "[watch]") {
  CHECK_FALSE(parse_process("", kStatus));
  CHECK_FALSE(parse_process(kStat, ""));
  CHECK_FALSE(parse_process("4711 (sleep", kStatus));
  CHECK_FALSE(parse_process("4711 (sleep)", kStatus));
  CHECK_FALSE(parse_process("4711 (sleep) S 1 2", kStatus));
  CHECK_FALSE(parse_process("x (sleep) S 1", kStatus));
  CHECK_FALSE(find_process(-1));
  CHECK(find_process(::getpid()));
  CHECK(parse_pids("12\n\nx\n7\n") == std::vector<pid_t>{12, 7});
  CHECK(describe_process(::getpid()).find("[" + std::to_string(::getpid()) + "]") !=
        std::string::npos);
  CHECK(describe_process(-1).find("has ended") != std::string::npos);
  const auto spaces = read_pid_namespaces();
  const auto own = spaces.find(read_namespace(::getpid(), "pid"));
  REQUIRE(own != spaces.end());
  CHECK(std::count(own->second.begin(), own->second.end(), ::getpid()) == 1);
}

TEST_CASE("mounts are read with their escapes", "[watch]") {
  const auto rows = parse_mounts(
      "22 1 0:20 / / ro,relatime - overlay overlay rw,lowerdir=/a\n"
      "23 22 0:21 /sub /a\\040b rw,nosuid shared:1 master:2 - tmpfs none rw,size=4k\n"
      "garbage\n24 22 0:22 / /short rw\n");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0] == MountRow{"/", "ro,relatime", "overlay", "0:20", "/"});
  CHECK(rows[1] == MountRow{"/a b", "rw,nosuid", "tmpfs", "0:21", "/sub"});
  CHECK(parse_mount(format_mount(rows[1])) == rows[1]);
  CHECK(parse_mount("only one part") == MountRow{});
}

TEST_CASE("mount tables are compared place by place", "[watch]") {
  using Kind = MountFault::Kind;
  const MountRow root{"/", "ro", "overlay", "0:1", "/"};
  const MountRow room{"/room", "ro,nosuid", "ext4", "8:1", "/v"};
  const MountRow upon{"/room", "rw", "tmpfs", "0:9", "/"};
  MountRow open = room;
  open.options = "rw,nosuid";
  MountRow other = room;
  other.root = "/elsewhere";
  struct Row {
    const char* what;
    std::vector<MountRow> found;
    std::vector<MountFault> faults;
  };
  const Row table[] = {
      {"the same", {root, room}, {}},
      {"in another order", {room, root}, {}},
      {"options",
       {root, open},
       {{Kind::changed, "/room", "ext4 ro,nosuid", "ext4 rw,nosuid"}}},
      {"one more", {root, room, upon}, {{Kind::extra, "/room", "nothing mounted", "tmpfs rw"}}},
      {"one less", {root}, {{Kind::missing, "/room", "ext4 ro,nosuid", "not mounted"}}},
      {"something else",
       {root, other},
       {{Kind::missing, "/room", "ext4 ro,nosuid", "something else: ext4 ro,nosuid"}}},
  };
  for (const auto& row : table) {
    INFO(row.what);
    CHECK(compare_mounts({root, room}, row.found) == row.faults);
  }
  CHECK_FALSE(put_back_mount(::getpid(), {Kind::missing, "/room", "", ""}));
}

TEST_CASE("who descends from the pod", "[watch]") {
  PodProcesses processes;
  processes.roots = {50, 100};
  for (const auto& [pid, parent] : {std::pair{101, 100}, {102, 101}, {60, 50}, {9, 1}, {10, 9},
                                    {11, 12}, {12, 11}}) {
    processes.facts[pid] = make_process(pid, parent);
  }
  for (const pid_t pid : {50, 100, 101, 102, 60}) CHECK(descends_from_roots(processes, pid));
  for (const pid_t pid : {9, 10, 11, 12, 1, 0, 77}) {
    CHECK_FALSE(descends_from_roots(processes, pid));
  }
}

TEST_CASE("one process makes at most one difference", "[watch]") {
  const auto made = make_made();
  auto wrong = make_process(101, 100);
  CHECK_FALSE(judge_process(made, wrong, true, true));
  wrong.bounding = 0x1;  // fewer rights are the program's own choice
  CHECK_FALSE(judge_process(made, wrong, true, true));

  wrong.no_new_privileges = false;
  auto found = judge_process(made, wrong, true, true);
  REQUIRE(found);
  CHECK(found->drift.field == "noNewPrivileges[main]:101");
  wrong.filtered = false;
  found = judge_process(made, wrong, true, true);
  REQUIRE(found);
  CHECK(found->drift.field == "seccomp[main]:101");
  wrong.effective = 0x100;
  found = judge_process(made, wrong, true, true);
  REQUIRE(found);
  CHECK(found->drift.field == "capabilities[main]:101");
  CHECK(found->drift.desired == "at most 0xff");
  CHECK(found->drift.observed == "sleep[101] uid 0, capabilities 0x100, no seccomp filter");
  CHECK(found->drift.remedy == Remedy::put_back);
  // In a user namespace of its own a process has every right, over nothing.
  CHECK(judge_process(made, wrong, true, false)->drift.field == "seccomp[main]:101");
  found = judge_process(made, wrong, false, true);
  REQUIRE(found);
  CHECK(found->drift.field == "process[main]:101");
}

TEST_CASE("the container's own first process is not killed but started anew", "[watch]") {
  const auto made = make_made();
  auto first = make_process(made.pid, 50);
  first.filtered = false;
  const auto found = judge_process(made, first, true, true);
  REQUIRE(found);
  CHECK(found->drift.remedy == Remedy::restart);
  CHECK_FALSE(found->put_back);
}

TEST_CASE("what was not asked for is not missed", "[watch]") {
  auto made = make_made();
  made.filtered = false;
  made.no_new_privileges = false;
  auto process = make_process(101, 100);
  process.filtered = false;
  process.no_new_privileges = false;
  CHECK_FALSE(judge_process(made, process, true, true));
}

TEST_CASE("files that changed after a moment are found, with the deepest path", "[watch]") {
  Folder folder;
  fs::create_directories(folder / "etc/deep");
  std::ofstream(folder / "etc/old") << "old";
  struct stat status {};
  REQUIRE(::lstat((folder / "etc/old").c_str(), &status) == 0);
  const auto before = status.st_ctim.tv_sec * 1'000'000 + status.st_ctim.tv_nsec / 1000;
  CHECK(find_changed_files(folder.path(), before + 60'000'000, 20).empty());
  // The clock of files is coarse: asking for what came after a moment long past finds all.
  const auto all = find_changed_files(folder.path(), before - 60'000'000, 20);
  REQUIRE(all.size() == 2);
  CHECK(all[0] == ChangedFile{"/etc/deep", "a directory, changed"});
  CHECK(all[1] == ChangedFile{"/etc/old", "3 bytes, changed"});
  CHECK(find_changed_files(folder.path(), before - 60'000'000, 1).size() == 1);
  fs::create_symlink("/etc/passwd", folder / "link");
  const auto linked = find_changed_files(folder.path(), before - 60'000'000, 20);
  REQUIRE(linked.size() == 3);
  CHECK(linked[2] == ChangedFile{"/link", "a link, changed"});
  CHECK(find_changed_files(folder / "absent", 0, 20).empty());
  CHECK(find_changed_files(folder / "link", 0, 20).empty());
}

TEST_CASE("a file that was exchanged has another mark", "[watch]") {
  Folder folder;
  std::ofstream(folder / "program") << "one";
  const auto mark = read_mark(folder / "program");
  CHECK(mark.size == 3);
  CHECK(mark == read_mark(folder / "program"));
  CHECK(mark == read_mark_inside(::getpid(), folder / "program"));
  std::ofstream(folder / "program") << "other";
  CHECK_FALSE(mark == read_mark(folder / "program"));
  CHECK(read_mark(folder / "absent") == FileMark{});
  CHECK(read_mark_inside(::getpid(), folder / "absent") == FileMark{});
  // Without a descriptor for the file it is not told to be gone: not for the root, then not for it.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(lowest);
  for (const int left : {0, 1}) {
    const rlimit few{static_cast<rlim_t>(lowest + left), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const auto unknown = read_mark_inside(::getpid(), folder / "program");
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_FALSE(unknown);
  }
}

TEST_CASE("which writes to cgroup files may concern a pod", "[watch]") {
  const std::string uid = "0f8fad5b-d9cb-469f-a165-70867728950e";
  struct Row {
    std::string path;
    std::string uid;
    bool telling;
  };
  const Row rows[] = {
      {"/sys/fs/cgroup/memory/moored-1/pods/burstable/pod" + uid + "/main-0/memory.max", uid, true},
      {"/sys/fs/cgroup/moored-1/pods/pod" + uid + "/pids.max", uid, true},
      {"/sys/fs/cgroup/moored-1/pods/pod" + uid + "/main-0/cgroup.procs", uid, false},
      {"/sys/fs/cgroup/cpu/moored-1/pods/pod" + uid + "/main-0/tasks", uid, false},
      {"/sys/fs/cgroup/system.slice/cgroup.procs", "", true},
      {"/sys/fs/cgroup/cpu/tasks", "", true},
      {"/sys/fs/cgroup/system.slice/memory.max", "", false},
      {"/sys/fs/cgroup/pods/pod1/cpu.max", "", false},
      {"", "", false}};
  for (const auto& row : rows) {
    INFO(row.path);
    CHECK(find_pod_uid(row.path) == row.uid);
    CHECK(is_telling_path(row.path) == row.telling);
  }
}

}  // namespace
}  // namespace moored::watch
