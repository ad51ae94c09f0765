#include "runtime/shim/launch.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "runtime/shim/child.hpp"
#include "runtime/shim/entrance.hpp"
#include "runtime/sys/socket.hpp"

namespace moored::shim {
namespace {

struct Pair {
  UniqueFd ours;
  UniqueFd theirs;
};

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

// A pipe that belongs to the container's user, so that /dev/stdout can be opened anew.
Result<Pair> make_output_pipe(const LaunchRequest& request) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed("make pipe");
  Pair pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (::fchown(pair.theirs.get(), request.uid, request.gid) != 0) return failed("give pipe away");
  if (::fcntl(pair.ours.get(), F_SETFL, O_NONBLOCK) != 0) return failed("set up pipe");
  return pair;
}

// Without stdin reading ends at once instead of waiting for somebody who never comes.
Result<Pair> make_input(const LaunchRequest& request) {
  Pair pair;
  if (!request.stdin_open) {
    pair.theirs.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!pair.theirs) return failed("open /dev/null");
    return pair;
  }
  MOORED_TRY(auto pipe, make_output_pipe(request));
  if (::fchown(pipe.ours.get(), request.uid, request.gid) != 0) return failed("give pipe away");
  if (::fcntl(pipe.ours.get(), F_SETFL, 0) != 0) return failed("set up pipe");
  return Pair{std::move(pipe.theirs), std::move(pipe.ours)};
}

// SEQPACKET: a word arrives whole, and its end arrives when the last holder is gone.
Result<Pair> make_control() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return failed("make control line");
  }
  return Pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Both ends of everything that connects shim and child.
struct Lines {
  Pair control;
  Pair in;
  Pair out;
  Pair err;
};

Result<Lines> make_lines(const LaunchRequest& request) {
  Lines lines;
  MOORED_TRY(lines.control, make_control());
  MOORED_TRY(lines.in, make_input(request));
  if (request.tty) {  // the child opens a terminal in its own root and sends us its other end
    lines.out.theirs.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!lines.out.theirs) return failed("open /dev/null");
    return lines;
  }
  MOORED_TRY(lines.out, make_output_pipe(request));
  if (!request.merge_errors) {
    MOORED_TRY(lines.err, make_output_pipe(request));
  }
  return lines;
}

ChildStreams child_streams(const LaunchRequest& request, const Lines& lines,
                           const std::vector<UniqueFd>& entrances) {
  ChildStreams streams;
  for (const auto& entrance : entrances) streams.entrances.push_back(entrance.get());
  streams.control = lines.control.theirs.get();
  streams.out = lines.out.theirs.get();
  streams.err = request.merge_errors || request.tty ? streams.out : lines.err.theirs.get();
  streams.in = lines.in.theirs.get();
  streams.oom_score_adjust = request.placement.oom_score_adjust;
  streams.joined_process = request.placement.joined_process;
  return streams;
}

// Enters another pid namespace for children only, and comes back when destroyed.
class PidNamespaceVisit {
 public:
  static Result<PidNamespaceVisit> enter(int target) {
    PidNamespaceVisit visit;
    if (target < 0) return visit;
    visit.own_.reset(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    if (!visit.own_) return failed("open own pid namespace");
    MOORED_CHECK(sys::join_namespaces(target, CLONE_NEWPID));
    return visit;
  }
  PidNamespaceVisit(PidNamespaceVisit&&) = default;
  PidNamespaceVisit& operator=(PidNamespaceVisit&&) = delete;
  ~PidNamespaceVisit() {
    if (own_) static_cast<void>(sys::join_namespaces(own_.get(), CLONE_NEWPID));
  }

 private:
  PidNamespaceVisit() = default;
  UniqueFd own_;
};

// Empty stays empty: a machine without a v2 hierarchy.
Result<UniqueFd> open_cgroup(const std::string& path) {
  UniqueFd directory;
  if (path.empty()) return directory;
  directory.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return failed("open cgroup " + path);
  return directory;
}

}  // namespace

// The child is born in its v2 group and enters the others first of all.
Result<Launched> launch(const LaunchRequest& request) {
  MOORED_TRY(const auto pinned, pin_steps(request.steps));
  MOORED_TRY(auto lines, make_lines(request));
  MOORED_TRY(const auto cgroup, open_cgroup(request.placement.cgroup));
  MOORED_TRY(const auto entrances, open_entrances(request.placement.tasks_files));
  Launched launched;
  {
    MOORED_TRY(const auto visit, PidNamespaceVisit::enter(request.placement.pid_namespace));
    MOORED_TRY(launched.child,
               sys::clone_process({request.placement.new_namespaces, cgroup.get()}));
    if (launched.child.pid == 0) {
      run_child(request.steps, pinned, child_streams(request, lines, entrances));
    }
  }
  launched.control = std::move(lines.control.ours);
  launched.in = std::move(lines.in.ours);
  launched.out = std::move(lines.out.ours);
  launched.err = std::move(lines.err.ours);
  return launched;
}

}  // namespace moored::shim
