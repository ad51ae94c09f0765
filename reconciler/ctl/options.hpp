// What a person typed: one command with its options.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "schema/validate/validate.hpp"

namespace moored::ctl {

enum class Output { text, json, markdown };

struct StatusCommand {};
struct SyncCommand {
  std::string source;
  bool wait = false;
  std::chrono::seconds timeout{300};
};
struct HistoryCommand {
  std::string object;
  std::size_t limit = 50;
};
struct TraceCommand {
  std::string sha;
};
struct DriftCommand {
  std::size_t limit = 50;
};
struct PlanCommand {
  std::string unit;
  std::string reference;
  std::string path;
};
struct ValidateCommand {
  std::string directory;
  std::string target_namespace;
  AdmissionPolicy::Level level = AdmissionPolicy::Level::baseline;
};
struct LogsCommand {
  std::string pod;
  std::string namespace_name = "default";
  std::string container;
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<std::size_t> tail;
};
struct ExecCommand {
  std::string pod;
  std::string namespace_name = "default";
  std::string container;
  std::vector<std::string> command;
  std::chrono::seconds timeout{30};
};
struct ImageImportCommand {
  std::string name;
  std::string path;
};
struct ImageListCommand {};
struct ImageRemoveCommand {
  std::string name;
};
struct ConfirmCommand {
  std::string unit;
  std::string revision;
};
struct KubeconfigCommand {};
struct TokenCommand {
  std::string name;
  std::string file = "/etc/moored/tokens";
  std::chrono::seconds lifetime{0};  // 0: until its line is removed
};
struct DownCommand {
  bool all = false;  // images, too
};
struct VersionCommand {};
struct DoctorCommand {
  std::string state_dir = "/var/lib/moored";
  std::string log_dir = "/var/log/moored";
};
struct AuditVerifyCommand {
  std::string state_dir = "/var/lib/moored";
  std::vector<std::string> heads;  // SEQ:HASH, as audit head printed them earlier
};
struct AuditHeadCommand {
  std::string state_dir = "/var/lib/moored";
};
struct AuditExportCommand {
  std::string state_dir = "/var/lib/moored";
  std::int64_t from = 1;
};
struct BackupCommand {
  std::string file;
  std::string state_dir = "/var/lib/moored";
  std::string config = "/etc/moored/moored.yaml";
};
struct RestoreCommand {
  std::string file;
  std::string state_dir = "/var/lib/moored";
  std::string config = "/etc/moored/moored.yaml";
  bool replace = false;  // what is there is moved aside
};

using Command =
    std::variant<StatusCommand, SyncCommand, HistoryCommand, TraceCommand, DriftCommand,
                 PlanCommand, ValidateCommand, LogsCommand, ExecCommand, ImageImportCommand,
                 ImageListCommand, ImageRemoveCommand, ConfirmCommand, KubeconfigCommand,
                 TokenCommand, DownCommand, VersionCommand, DoctorCommand, AuditVerifyCommand,
                 AuditHeadCommand, AuditExportCommand, BackupCommand, RestoreCommand>;

struct Options {
  std::string server;                   // empty: as run-dir says, else the default address
  std::string run_dir = "/run/moored";
  std::string ca_file;                  // PEM; empty: the machine's, or the daemon's own
  std::string token_file;               // "-": standard input; empty: root's own, or none
  Output output = Output::text;
  Command command;
};

// Reads the command line. Nothing: help was asked for or something is wrong; it is printed and
// exit_code is set.
std::optional<Options> read_options(int count, const char* const* values, int& exit_code);

}  // namespace moored::ctl
