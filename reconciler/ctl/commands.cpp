// Every command of moorctl, over the API or the admin socket.
#include "reconciler/ctl/commands.hpp"

#include <filesystem>
#include <variant>

#include "gitsync/repo/names.hpp"
#include "net/api/tokens.hpp"
#include "reconciler/admin/client.hpp"
#include "reconciler/ctl/api_client.hpp"
#include "reconciler/ctl/doctor.hpp"
#include "reconciler/ctl/members.hpp"
#include "reconciler/ctl/render.hpp"
#include "reconciler/ctl/safekeeping.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"

namespace moored::ctl {
namespace {

// One command under way: its connections, and the ways to answer.
class Session {
 public:
  Session(const Options& options, const Console& console) : options_(options), console_(console) {}

  Result<int> run(const StatusCommand&) const { return report("/status", &render_status); }
  Result<int> run(const HistoryCommand& command) const {
    std::string path = "/history?limit=" + std::to_string(command.limit);
    if (!command.object.empty()) path += "&object=" + encode_uri_part(command.object);
    return report(path, &render_history);
  }
  Result<int> run(const TraceCommand& command) const {
    return report("/status/revisions/" + encode_uri_part(command.sha), &render_trace);
  }
  Result<int> run(const DriftCommand& command) const {
    return report("/drift?limit=" + std::to_string(command.limit), &render_drift);
  }
  Result<int> run(const SyncCommand& command) const;
  Result<int> run(const PlanCommand& command) const;
  Result<int> run(const ValidateCommand& command) const;
  Result<int> run(const LogsCommand& command) const;
  Result<int> run(const ExecCommand& command) const;
  Result<int> run(const ImageImportCommand& command) const;
  Result<int> run(const ImageListCommand&) const {
    MOORED_TRY(const Value images, ask(ImageListVerb{}));
    return print(images, render_images(images, look()));
  }
  Result<int> run(const ImageRemoveCommand& command) const;
  Result<int> run(const ConfirmCommand& command) const;
  Result<int> run(const KubeconfigCommand&) const;
  Result<int> run(const TokenCommand& command) const;
  Result<int> run(const DownCommand& command) const;
  Result<int> run(const VersionCommand&) const;
  Result<int> run(const DoctorCommand& command) const;
  Result<int> run(const AuditVerifyCommand& command) const {
    MOORED_TRY(const Value verdict, verify_audit(command));
    return print(verdict, render_audit(verdict, look()));
  }
  Result<int> run(const AuditHeadCommand& command) const {
    MOORED_TRY(const Value head, read_audit_head(command));
    return print(head, text_in(head, "head") + '\n');
  }
  Result<int> run(const AuditExportCommand& command) const;
  Result<int> run(const BackupCommand& command) const {
    MOORED_TRY(const Value report, make_backup(command));
    return print(report, render_backup(report, look()));
  }
  Result<int> run(const RestoreCommand& command) const {
    MOORED_TRY(const Value report, put_back(command));
    return print(report, render_backup(report, look()));
  }

 private:
  using Render = std::string (*)(const Value&, const Look&);

  Look look() const { return {console_.colour, SystemClock().now().wall}; }
  void write(const std::string& text) const {
    std::fwrite(text.data(), 1, text.size(), console_.out);
  }
  // The answer in the form that was asked for; exit code 0.
  int print(const Value& answer, const std::string& text) const {
    write(options_.output == Output::json ? write_json_pretty(answer) : text);
    return 0;
  }
  Result<ApiClient> connect() const {
    MOORED_TRY(auto endpoint, find_endpoint(options_));
    return ApiClient::create(std::move(endpoint));
  }
  // Reports are read over HTTP, so they need no rights beyond reaching the port.
  Result<int> report(const std::string& path, Render render) const {
    MOORED_TRY(const ApiClient client, connect());
    MOORED_TRY(const Value answer, client.get_json(path));
    return print(answer, render(answer, look()));
  }
  // Asks over the admin socket and shows the steps meanwhile.
  Result<Value> ask(const AdminVerb& verb) const {
    MOORED_TRY(AdminClient client, AdminClient::connect(options_.run_dir + "/admin.sock"));
    return client.ask(verb, [&](const Value& step) {
      const std::string text = step.is_map() ? write_json(step) : step.scalar;
      std::fprintf(console_.err, "  %s\n", git::show_text(text, 512).c_str());
      std::fflush(console_.err);
    });
  }

  const Options& options_;
  const Console& console_;
};

// Without --wait a look that went well is success, whatever becomes of the revision.
Result<int> Session::run(const SyncCommand& command) const {
  SyncVerb verb;
  verb.source = command.source;
  verb.wait = command.wait;
  verb.timeout = command.timeout;
  MOORED_TRY(const Value result, ask(verb));
  print(result, render_sync(result, look()));
  bool failed = command.wait && !truth_in(result, "ready");
  for (const auto& source : items_in(result, "sources")) {
    failed = failed || !text_in(source, "error").empty();
  }
  return failed ? kFailed : 0;
}

// The daemon may run elsewhere in the tree, so a path is made absolute here.
Result<int> Session::run(const PlanCommand& command) const {
  if (command.reference.empty() && command.path.empty()) {
    return fail(Code::invalid, "plan needs --ref REFERENCE or --path DIRECTORY");
  }
  PlanVerb verb;
  verb.unit = command.unit;
  verb.revision = command.reference;
  if (!command.path.empty()) verb.path = std::filesystem::absolute(command.path).string();
  MOORED_TRY(const Value plan, ask(verb));
  const bool markdown = options_.output == Output::markdown;
  print(plan, markdown ? render_plan_markdown(plan) : render_plan(plan, look()));
  if (!items_in(plan, "errors").empty()) return kFailed;
  return items_in(plan, "changes").empty() ? 0 : kChanges;
}

// The only command that needs neither socket nor port.
Result<int> Session::run(const ValidateCommand& command) const {
  MOORED_TRY(const Value result, validate_directory(command));
  print(result, render_validation(result, look()));
  return truth_in(result, "valid") ? 0 : kFailed;
}

// Bytes of a container go out as they come: they are its own, not ours to change.
Result<int> Session::run(const LogsCommand& command) const {
  MOORED_TRY(const ApiClient client, connect());
  MOORED_CHECK(client.stream(log_path(command), [&](std::string_view piece) {
    const bool written = std::fwrite(piece.data(), 1, piece.size(), console_.out) == piece.size();
    return std::fflush(console_.out) == 0 && written;
  }));
  return 0;
}

// The exit code is the program's, as a shell would hand it on.
Result<int> Session::run(const ExecCommand& command) const {
  ExecVerb verb;
  verb.namespace_name = command.namespace_name;
  verb.pod = command.pod;
  verb.container = command.container;
  verb.command = command.command;
  verb.timeout = command.timeout;
  MOORED_TRY(const Value result, ask(verb));
  print(result, text_in(result, "output"));
  if (truth_in(result, "truncated") && options_.output != Output::json) {
    std::fprintf(console_.err, "moorctl: the output was longer, the rest is not kept\n");
  }
  return static_cast<int>(number_in(result, "exitCode"));
}

// The daemon opens the file itself; the path is made absolute because it stands elsewhere.
Result<int> Session::run(const ImageImportCommand& command) const {
  ImageImportVerb verb;
  verb.name = command.name;
  verb.path = std::filesystem::absolute(command.path).string();
  MOORED_TRY(const Value images, ask(verb));
  return print(images, render_images(images, look()));
}

Result<int> Session::run(const ImageRemoveCommand& command) const {
  MOORED_TRY(const Value result, ask(ImageRemoveVerb{command.name}));
  std::string text;
  for (const auto& name : items_in(result, "removed")) text += "removed " + name.scalar + '\n';
  return print(result, text);
}

Result<int> Session::run(const ConfirmCommand& command) const {
  ConfirmVerb verb;
  verb.revision = command.revision;
  verb.unit = command.unit;
  MOORED_TRY(const Value result, ask(verb));
  print(result, "the deletions of " + text_in(result, "revision") + " are allowed\n");
  // A held revision is carried out when its source is looked at; that need not wait.
  if (const auto looked = ask(SyncVerb{}); !looked) {
    std::fprintf(console_.err, "moorctl: it is carried out at the next look: %s\n",
                 git::show_text(looked.error().text(), 8192).c_str());
  }
  return 0;
}

// Printed and not merged into ~/.kube/config: whose file that is, is not ours to decide.
Result<int> Session::run(const KubeconfigCommand&) const {
  MOORED_TRY(const Endpoint endpoint, find_endpoint(options_));
  MOORED_TRY(const std::string authority, find_authority(options_));
  write(make_kubeconfig(endpoint, authority));
  if (endpoint.local_token) {
    std::fprintf(console_.err, "moorctl: the API wants a token and none is in this file: draw one "
                               "with `moorctl token NAME` and give it with --token-file\n");
  }
  return 0;
}

// The token is shown this once; the file keeps its hash, and the lines that were there.
Result<int> Session::run(const TokenCommand& command) const {
  constexpr std::size_t kMaxFile = net::api::TokenFile::kMaxBytes;
  std::string text;
  if (path_exists(command.file)) {
    MOORED_TRY(text, read_file(command.file, kMaxFile));
  }
  SystemRandom random;
  const auto token = net::api::make_token(random);
  net::api::TokenRow row{command.name, sha256_hex(token), std::nullopt};
  if (command.lifetime.count() > 0) row.expires = SystemClock().now().wall + command.lifetime;
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += net::api::format_token_row(row) + "\n";
  // Read as the daemon will, so that a bad name or an older mistake is told here.
  MOORED_CHECK(net::api::parse_tokens(text, command.file));
  MOORED_CHECK(write_file_durably(command.file, text, 0600));
  write(token + '\n');
  std::fprintf(console_.err, "moorctl: %s may read with this token; remove its line from %s to end "
               "that\n", command.name.c_str(), command.file.c_str());
  return 0;
}

Result<int> Session::run(const DownCommand& command) const {
  DownVerb verb;
  verb.keep_images = !command.all;
  MOORED_TRY(const Value result, ask(verb));
  const std::string left = command.all ? "nothing of moored is left" : "state and images are kept";
  return print(result, "stopped " + text_in(result, "pods") + " pods, " + left + '\n');
}

// A daemon that is away is no failure here.
Result<int> Session::run(const VersionCommand&) const {
  Value result = Value::make_map();
  result.put("client", Value::of_text(MOORED_VERSION));
  std::string text = "moorctl " MOORED_VERSION "\n";
  MOORED_TRY(const ApiClient client, connect());
  if (const auto server = client.get_json("/version")) {
    result.put("server", *server);
    text += "moored, as Kubernetes " + text_in(*server, "gitVersion") + '\n';
  } else {
    text += "moored does not answer\n";
  }
  return print(result, text);
}

// Warnings leave the exit code at 0: the machine works.
Result<int> Session::run(const DoctorCommand& command) const {
  const Value result = findings_value(judge_machine(look_at_machine(command, options_.run_dir)));
  print(result, render_findings(result, look()));
  return truth_in(result, "healthy") ? 0 : kFailed;
}

// A reader that goes away ends it; what was written so far is whole lines.
Result<int> Session::run(const AuditExportCommand& command) const {
  MOORED_CHECK(export_audit(command, [&](std::string_view line) -> Status {
    const bool written = std::fwrite(line.data(), 1, line.size(), console_.out) == line.size() &&
                         std::fputc('\n', console_.out) != EOF;
    return written ? Status() : fail(Code::unavailable, "the output cannot be written");
  }));
  return 0;
}

// Everything in an error may be foreign text.
void print_error(const Error& error, const Console& console) {
  const std::string reason = error.reason.empty() ? "" : error.reason + ": ";
  const std::string text = git::show_text(reason + error.text(), 8192);
  std::fprintf(console.err, "moorctl: %s\n", text.c_str());
}

}  // namespace

// Flushed before the error goes to the other stream, so that a terminal shows them in order.
int carry_out(const Options& options, const Console& console) {
  const Session session(options, console);
  const auto code =
      std::visit([&](const auto& command) { return session.run(command); }, options.command);
  std::fflush(console.out);
  if (code) return *code;
  print_error(code.error(), console);
  return kFailed;
}

// The path and parameters of the Kubernetes API, so kubectl logs and this command read the same.
std::string log_path(const LogsCommand& command) {
  std::string path = "/api/v1/namespaces/" + encode_uri_part(command.namespace_name) + "/pods/" +
                     encode_uri_part(command.pod) + "/log?timestamps=" +
                     (command.timestamps ? "true" : "false");
  if (!command.container.empty()) path += "&container=" + encode_uri_part(command.container);
  if (command.follow) path += "&follow=true";
  if (command.previous) path += "&previous=true";
  if (command.tail) path += "&tailLines=" + std::to_string(*command.tail);
  return path;
}

}  // namespace moored::ctl
