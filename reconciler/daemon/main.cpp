// moored: the daemon.
#include <CLI/CLI.hpp>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "reconciler/daemon/daemon.hpp"
#include "schema/base/log.hpp"
#include "schema/host/memory.hpp"

namespace {

using moored::Status;
using moored::Unexpected;

// Asks the supervisor for a new start (RestartForceExitStatus); sysexits.h calls it EX_TEMPFAIL.
constexpr int kStartAgain = 75;
constexpr int kHeaps = 2;

// One optional flag that takes a text.
void add_text(CLI::App& app, const char* name, std::optional<std::string>& target,
              const char* help) {
  app.add_option(name, target, help);
}

int fail_with(const moored::Error& error) {
  std::fprintf(stderr, "moored: %s\n", error.text().c_str());
  return moored::traits(error.code).exit_code;
}

// The same program with the same arguments: it needs no supervisor for that, and the locks that it
// holds end with its descriptors.
int start_anew(char** arguments) {
  ::execv("/proc/self/exe", arguments);
  return fail_with(moored::Error(moored::Code::internal, "cannot start anew", {}, {}, {}));
}

int run(const moored::ConfigurationFlags& flags, char** arguments) {
  // Signals are taken by sigwait in the main thread; every thread made later inherits this mask.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  if (::geteuid() != 0) {
    return fail_with({moored::Code::denied, "moored starts containers, so it must run as root",
                      "Forbidden", {}, "start it with sudo or by systemd"});
  }
  auto configuration = moored::load_configuration(flags);
  if (!configuration) return fail_with(configuration.error());
  auto daemon = moored::Daemon::create(*configuration);
  if (!daemon) return fail_with(daemon.error());
  const auto end = (*daemon)->run([&flags]() -> Status {
    const auto next = moored::load_configuration(flags);
    return next ? Status() : Status(Unexpected(next.error()));
  });
  if (!end) return fail_with(end.error());
  daemon->reset();
  if (*end == moored::Daemon::End::start_anew) return start_anew(arguments);
  return *end == moored::Daemon::End::reload ? kStartAgain : 0;
}

// Says whether the daemon would start with these settings, and changes nothing.
int check(const moored::ConfigurationFlags& flags) {
  const auto configuration = moored::load_configuration(flags);
  return configuration ? 0 : fail_with(configuration.error());
}

// What run and check take.
void add_flags(CLI::App& command, moored::ConfigurationFlags& flags) {
  command.add_option("--config", flags.config, "configuration file (/etc/moored/moored.yaml)");
  add_text(command, "--git", flags.git, "URL or path of the manifest repository");
  add_text(command, "--branch", flags.branch, "branch, full reference or commit (main)");
  add_text(command, "--path", flags.path, "directory of the manifests in it (./)");
  add_text(command, "--interval", flags.interval, "time between looks (10s)");
  add_text(command, "--state-dir", flags.state_dir, "durable state (/var/lib/moored)");
  add_text(command, "--run-dir", flags.run_dir, "sockets and pins (/run/moored)");
  add_text(command, "--log-dir", flags.log_dir, "container logs (/var/log/moored)");
  add_text(command, "--listen", flags.listen, "ADDRESS:PORT of the API (127.0.0.1:6446)");
  add_text(command, "--tls-cert", flags.tls_cert, "certificate chain of the API in PEM");
  add_text(command, "--tls-key", flags.tls_key, "its key, readable by root alone");
  add_text(command, "--token-file", flags.token_file, "hashed tokens of those who may read");
  add_text(command, "--client-ca", flags.client_ca, "authority of clients with a certificate");
  add_text(command, "--node-name", flags.node_name, "name of this node (host name)");
  add_text(command, "--pod-cidr", flags.pod_cidr, "addresses of pods (10.209.0.0/16)");
  add_text(command, "--service-cidr", flags.service_cidr, "addresses of Services (10.210.0.0/16)");
  add_text(command, "--cgroup-root", flags.cgroup_root, "cgroup of all pods (/moored-INSTANCE)");
  add_text(command, "--cgroup-parent", flags.cgroup_parent,
           "v2 group for the default cgroup, if it is there (/)");
  add_text(command, "--libexec-dir", flags.libexec_dir, "directory of the worker programs");
  add_text(command, "--drift", flags.drift, "off, report or correct (correct)");
  add_text(command, "--pod-security", flags.pod_security,
           "privileged, baseline or restricted, for namespace default");
}

}  // namespace

int main(int argc, char** argv) {
  moored::limit_heaps(kHeaps);
  CLI::App app("moored keeps this machine moored to Git");
  app.require_subcommand(1);
  app.set_version_flag("--version", "moored " MOORED_VERSION);
  moored::ConfigurationFlags flags;
  auto* command = app.add_subcommand("run", "Run the daemon until SIGTERM");
  auto* trial = app.add_subcommand("check", "Check the configuration, without running anything");
  add_flags(*command, flags);
  add_flags(*trial, flags);
  bool verbose = false;
  command->add_flag("--verbose", verbose, "log details");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? 0 : 1;
  }
  if (verbose) moored::set_log_level(moored::LogLevel::debug);
  return trial->parsed() ? check(flags) : run(flags, argv);
}
