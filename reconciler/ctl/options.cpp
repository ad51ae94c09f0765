// The grammar of moorctl; the only file that sees CLI11 here.
#include "reconciler/ctl/options.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>
#include <memory>

namespace moored::ctl {
namespace {

// Takes the command that the parsed subcommand stands for.
class Grammar {
 public:
  Grammar() : app_("moorctl speaks to moored, which keeps this machine moored to Git") {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.set_version_flag("--version", "moorctl " MOORED_VERSION);
    app_.add_option("--server", options_.server, "URL of the API (from the run directory)");
    app_.add_option("--run-dir", options_.run_dir, "the daemon's run directory (/run/moored)");
    app_.add_option("--ca-file", options_.ca_file, "certificates to trust, in PEM");
    app_.add_option("--token-file", options_.token_file, "file with a token, - for standard input");
    add_reports();
    add_plans();
    add_pods();
    add_images();
    add_machine();
    add_audit();
    add_backup();
  }

  // The parser prints help and complaints itself and says with which code to leave.
  std::optional<Options> read(int count, const char* const* values, int& exit_code) {
    try {
      app_.parse(count, values);
    } catch (const CLI::RequiredError& failure) {
      // The parser misses a command even where one was given that it does not know.
      const auto words = app_.remaining();
      if (words.empty()) {
        app_.exit(failure);
      } else {
        std::fprintf(stderr, "there is no command %s\nRun with --help for more information.\n",
                     words.front().c_str());
      }
      exit_code = 1;
      return std::nullopt;
    } catch (const CLI::ParseError& failure) {
      const int code = app_.exit(failure);
      exit_code = code == 0 ? 0 : 1;
      return std::nullopt;
    }
    return std::move(options_);
  }

 private:
  // A subcommand whose options fill a command of this type.
  template <class T>
  std::pair<CLI::App*, std::shared_ptr<T>> add(CLI::App& parent, const char* name,
                                               const char* help, bool markdown = false) {
    auto command = std::make_shared<T>();
    CLI::App* sub = parent.add_subcommand(name, help);
    std::map<std::string, Output> outputs{{"text", Output::text}, {"json", Output::json}};
    if (markdown) outputs["markdown"] = Output::markdown;
    add_choice(*sub, "-o,--output", options_.output, outputs);
    sub->callback([this, command] { options_.command = *command; });
    return {sub, command};
  }

  // What is read over the API, and sync.
  void add_reports() {
    add<StatusCommand>(app_, "status", "Sources, units, and what is not ready and why");
    const auto [sync, sync_to] = add<SyncCommand>(app_, "sync", "Look at the sources now");
    sync->add_option("source", sync_to->source, "namespace/name of one source (all)");
    sync->add_flag("--wait", sync_to->wait, "wait until the revision is ready or has failed");
    add_seconds(*sync, "--timeout", sync_to->timeout, "longest wait in seconds (300)");
    const auto [history, history_to] =
        add<HistoryCommand>(app_, "history", "What changed, when, by whom and why");
    history->add_option("object", history_to->object, "such as deployment/shop/web (all)");
    history->add_option("--limit", history_to->limit, "newest entries to show (50)");
    const auto [trace, trace_to] =
        add<TraceCommand>(app_, "trace", "The receipt of a commit, from seen to ready");
    trace->add_option("sha", trace_to->sha, "commit id, also a short one")->required();
    const auto [drift, drift_to] =
        add<DriftCommand>(app_, "drift", "What was found that Git does not say");
    drift->add_option("--limit", drift_to->limit, "newest entries to show (50)");
  }

  // What would be, and what may be.
  void add_plans() {
    const auto [plan, plan_to] = add<PlanCommand>(
        app_, "plan", "What a branch or a directory would change; exits 0 nothing, 2 something",
        true);
    auto* reference = plan->add_option("--ref", plan_to->reference,
                                       "branch, tag, full reference or commit");
    plan->add_option("--path", plan_to->path, "directory on this machine")->excludes(reference);
    plan->add_option("--unit", plan_to->unit, "namespace/name (moored-system/default)");
    const auto [validate, validate_to] =
        add<ValidateCommand>(app_, "validate", "Check a directory of manifests, without a daemon");
    validate->add_option("directory", validate_to->directory, "directory of manifests")
        ->required();
    validate->add_option("--target-namespace", validate_to->target_namespace,
                         "namespace for every object");
    const std::map<std::string, AdmissionPolicy::Level> levels{
        {"privileged", AdmissionPolicy::Level::privileged},
        {"baseline", AdmissionPolicy::Level::baseline},
        {"restricted", AdmissionPolicy::Level::restricted}};
    add_choice(*validate, "--pod-security", validate_to->level, levels);
    const auto [confirm, confirm_to] =
        add<ConfirmCommand>(app_, "confirm", "Allow deletions that are held at a revision");
    confirm->add_option("revision", confirm_to->revision, "as status names it")->required();
    confirm->add_option("--unit", confirm_to->unit, "namespace/name, if several are held");
  }

  // The same words as kubectl has for them.
  void add_pods() {
    const auto [logs, logs_to] = add<LogsCommand>(app_, "logs", "The output of a container");
    logs->add_option("pod", logs_to->pod, "name of the pod")->required();
    logs->add_option("-n,--namespace", logs_to->namespace_name, "its namespace (default)");
    logs->add_option("-c,--container", logs_to->container, "its container");
    logs->add_flag("-f,--follow", logs_to->follow, "go on with what comes");
    logs->add_flag("-p,--previous", logs_to->previous, "of the attempt before");
    logs->add_flag("--timestamps", logs_to->timestamps, "with the time of each line");
    logs->add_option("--tail", logs_to->tail, "only so many lines from the end");
    const auto [exec, exec_to] = add<ExecCommand>(app_, "exec", "Run a program in a container");
    exec->add_option("pod", exec_to->pod, "name of the pod")->required();
    exec->add_option("-n,--namespace", exec_to->namespace_name, "its namespace (default)");
    exec->add_option("-c,--container", exec_to->container, "its container (the first)");
    add_seconds(*exec, "--timeout", exec_to->timeout, "longest run in seconds (30)");
    exec->add_option("command", exec_to->command, "-- program and arguments")->required();
    // This parser hands the mark on as the first word.
    exec->callback([this, exec_to = exec_to] {
      auto& words = exec_to->command;
      if (!words.empty() && words.front() == "--") words.erase(words.begin());
      options_.command = *exec_to;
    });
  }

  // A command with commands of its own.
  void add_images() {
    CLI::App* image = app_.add_subcommand("image", "Images on this machine");
    image->require_subcommand(1);
    image->fallthrough();
    const auto [import, import_to] =
        add<ImageImportCommand>(*image, "import", "Take an archive or layout from a path");
    import->add_option("name", import_to->name, "reference to give it")->required();
    import->add_option("path", import_to->path, "archive or directory")->required();
    add<ImageListCommand>(*image, "ls", "Show the images");
    const auto [remove, remove_to] = add<ImageRemoveCommand>(*image, "rm", "Remove an image");
    remove->add_option("name", remove_to->name, "reference or digest")->required();
  }

  // The machine as a whole.
  void add_machine() {
    add<KubeconfigCommand>(app_, "kubeconfig", "Print a kubeconfig for the API");
    const auto [token, token_to] =
        add<TokenCommand>(app_, "token", "Draw a token that lets its owner read the API");
    token->add_option("name", token_to->name, "who will have it")->required();
    token->add_option("--file", token_to->file, "hashed tokens (/etc/moored/tokens)");
    add_seconds(*token, "--lifetime", token_to->lifetime, "seconds until it ends (never)");
    const auto [down, down_to] =
        add<DownCommand>(app_, "down", "Stop every pod and remove what moored made");
    down->add_flag("--all", down_to->all, "state, images and logs, too");
    const auto [doctor, doctor_to] =
        add<DoctorCommand>(app_, "doctor", "What this machine lacks, and how to mend it");
    doctor->add_option("--state-dir", doctor_to->state_dir, "durable state (/var/lib/moored)");
    doctor->add_option("--log-dir", doctor_to->log_dir, "container logs (/var/log/moored)");
    add<VersionCommand>(app_, "version", "Versions of moorctl and of the daemon");
  }

  // What is read off the state directory itself, with or without a daemon.
  void add_audit() {
    CLI::App* audit = app_.add_subcommand("audit", "The audit chain in the state directory");
    audit->require_subcommand(1);
    audit->fallthrough();
    const auto [verify, verify_to] = add<AuditVerifyCommand>(
        *audit, "verify", "Find a row that was edited, removed, reordered or cut off");
    add_state_dir(*verify, verify_to->state_dir);
    verify->add_option("--head", verify_to->heads, "SEQ:HASH noted earlier; may be repeated");
    const auto [head, head_to] =
        add<AuditHeadCommand>(*audit, "head", "The newest row, to be noted elsewhere");
    add_state_dir(*head, head_to->state_dir);
    const auto [exported, export_to] =
        add<AuditExportCommand>(*audit, "export", "Every row as a line of JSON");
    add_state_dir(*exported, export_to->state_dir);
    exported->add_option("--from", export_to->from, "first row (1)");
  }

  void add_backup() {
    const auto [backup, backup_to] =
        add<BackupCommand>(app_, "backup", "Copy what Git does not hold into one new file");
    backup->add_option("file", backup_to->file, "the file to write")->required();
    add_state_dir(*backup, backup_to->state_dir);
    backup->add_option("--config", backup_to->config, "configuration (/etc/moored/moored.yaml)");
    const auto [restore, restore_to] =
        add<RestoreCommand>(app_, "restore", "Put a backup back into an empty state directory");
    restore->add_option("file", restore_to->file, "the backup")->required();
    add_state_dir(*restore, restore_to->state_dir);
    restore->add_option("--config", restore_to->config, "where an absent configuration goes");
    restore->add_flag("--replace", restore_to->replace, "move a store that is there aside");
  }

  static void add_state_dir(CLI::App& sub, std::string& target) {
    sub.add_option("--state-dir", target, "durable state (/var/lib/moored)");
  }

  // One word of a few; the help and the error name them all.
  template <class T>
  static void add_choice(CLI::App& sub, const char* name, T& target,
                         const std::map<std::string, T>& choices) {
    std::string words;
    for (const auto& [word, value] : choices) words += (words.empty() ? "" : ", ") + word;
    sub.add_option_function<std::string>(
        name,
        [&target, choices, words](const std::string& typed) {
          const auto choice = choices.find(typed);
          if (choice == choices.end()) {
            throw CLI::ValidationError(typed + " is not one of " + words);
          }
          target = choice->second;
        },
        "one of " + words);
  }

  // Durations are typed in whole seconds.
  static void add_seconds(CLI::App& sub, const char* name, std::chrono::seconds& target,
                          const char* help) {
    sub.add_option_function<std::uint32_t>(
        name, [&target](const std::uint32_t& seconds) { target = std::chrono::seconds(seconds); },
        help);
  }

  CLI::App app_;
  Options options_;
};

}  // namespace

std::optional<Options> read_options(int count, const char* const* values, int& exit_code) {
  return Grammar().read(count, values, exit_code);
}

}  // namespace moored::ctl
