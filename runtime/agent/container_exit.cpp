#include "runtime/agent/container_exit.hpp"

namespace moored::agent {
namespace {

constexpr int kLostExitCode = 137;
constexpr int kStartErrorCode = 128;
constexpr std::string_view kScheme = "moored://";

}  // namespace

ContainerStateTerminated make_exit(const ContainerReport& report, Time now) {
  ContainerStateTerminated exit;
  exit.exit_code = report.exit_code;
  exit.signal = report.signal;
  exit.reason = report.exit_code == 0 ? "Completed" : "Error";
  if (report.oom_killed) exit.reason = "OOMKilled";
  exit.message = report.termination_message;
  exit.started_at = report.started_at;
  exit.finished_at = report.finished_at.value_or(now);
  exit.container_id = write_container_id(report.container_id);
  if (!report.start_error.empty()) {
    exit.reason = "StartError";
    exit.exit_code = kStartErrorCode;
    exit.message = report.start_error;
    exit.started_at.reset();
  }
  return exit;
}

ContainerStateTerminated make_lost_exit(const std::string& container_id,
                                        std::optional<Time> started_at, Time now) {
  ContainerStateTerminated exit;
  exit.exit_code = kLostExitCode;
  exit.reason = "ContainerStatusUnknown";
  exit.message = "The container could not be located when the pod was terminated";
  exit.started_at = started_at;
  exit.finished_at = now;
  exit.container_id = write_container_id(container_id);
  return exit;
}

std::string write_container_id(const std::string& id) {
  return id.empty() ? id : std::string(kScheme) + id;
}

std::string strip_container_id(const std::string& id) {
  return id.rfind(kScheme, 0) == 0 ? id.substr(kScheme.size()) : id;
}

}  // namespace moored::agent
