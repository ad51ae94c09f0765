#include "gitsync/load/parse_all.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <system_error>
#include <thread>

namespace moored::git {
namespace {

// Less than this is parsed in about the time that a thread takes to start.
constexpr std::size_t kWorthAThread = 32U << 10U;

// A machine without room for a thread parses alone.
template <class Body>
std::optional<std::thread> find_helper(const Body& body) {
  try {
    return std::thread(body);
  } catch (const std::system_error&) {
    return std::nullopt;
  }
}

}  // namespace

void parse_all(std::vector<ParseTask>& tasks, const std::string& target_namespace) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < tasks.size(); i = next++) {
      auto& task = tasks[i];
      *task.parsed = parse_manifests(task.text, task.path, target_namespace);
      task.text.clear();
    }
  };
  std::size_t bytes = 0;
  for (const auto& task : tasks) bytes += task.text.size();
  std::optional<std::thread> helper;
  if (tasks.size() > 1 && bytes >= kWorthAThread && std::thread::hardware_concurrency() > 1) {
    helper = find_helper(work);
  }
  work();
  if (helper) helper->join();
}

}  // namespace moored::git
