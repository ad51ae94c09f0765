#include "gitsync/repo/ssh.hpp"

#include <git2.h>
#include <libssh2.h>

#include <memory>

#include "gitsync/repo/transport.hpp"

namespace moored::git {
namespace {

constexpr int kMaxQuestions = 2;  // libgit2 asks without end while the answer is wrong
constexpr int kUsualPort = 22;

struct FreeSsh {
  void operator()(LIBSSH2_SESSION* session) const { libssh2_session_free(session); }
  void operator()(LIBSSH2_KNOWNHOSTS* hosts) const { libssh2_knownhost_free(hosts); }
};

Unexpected mismatch(std::string why, std::string fix) {
  return Unexpected(Error{Code::denied, std::move(why), "HostKeyMismatch", {}, std::move(fix)});
}

// A server has several keys; libssh2 asks for the one it likes best.
constexpr const char* kScan =
    "compare the server's keys with those that its operator publishes, and put the output of "
    "ssh-keyscan HOST into known_hosts";

// Reads line by line: a line that libssh2 does not know would otherwise end the list in silence.
Status read_lines(LIBSSH2_KNOWNHOSTS* hosts, std::string_view text) {
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    const std::string where = "line " + std::to_string(number) + " of known_hosts ";
    // Honouring a marker by half would trust a key that was revoked.
    if (line.front() == '@') {
      return mismatch(where + "has a marker", "only lines without @ are carried out");
    }
    // libssh2 looks at the byte behind the line and takes a newline there for a part of it.
    const std::string whole = std::string(line) + '\n';
    const int code = libssh2_knownhost_readline(hosts, whole.data(), whole.size(),
                                                LIBSSH2_KNOWNHOST_FILE_OPENSSH);
    if (code != 0) return mismatch(where + "cannot be read", "write it as ssh-keyscan does");
  }
  return {};
}

int fail_with(TransferMeter& meter, Error error, int error_class, int code) {
  git_error_set_str(error_class, error.message.c_str());
  meter.failure = std::move(error);
  return code;
}

int refuse_credentials(TransferMeter& meter, std::string why, std::string fix) {
  return fail_with(meter, Error{Code::denied, std::move(why), "AuthFailed", {}, std::move(fix)},
                   GIT_ERROR_NET, GIT_EAUTH);
}

}  // namespace

Status judge_host_key(const std::string& known_hosts, const std::string& host, int port,
                      std::string_view key) {
  const std::unique_ptr<LIBSSH2_SESSION, FreeSsh> session(libssh2_session_init());
  const std::unique_ptr<LIBSSH2_KNOWNHOSTS, FreeSsh> hosts(
      session ? libssh2_knownhost_init(session.get()) : nullptr);
  if (!hosts) return fail(Code::exhausted, "no memory for known_hosts");
  MOORED_CHECK(read_lines(hosts.get(), known_hosts));
  const bool usual = port == 0 || port == kUsualPort;
  const std::string name = usual ? host : '[' + host + "]:" + std::to_string(port);
  const int mask = LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW;
  const int found = libssh2_knownhost_checkp(hosts.get(), name.c_str(), -1, key.data(), key.size(),
                                             mask, nullptr);
  if (found == LIBSSH2_KNOWNHOST_CHECK_MATCH) return {};
  if (found == LIBSSH2_KNOWNHOST_CHECK_NOTFOUND) {
    return mismatch(name + " is not in known_hosts", kScan);
  }
  return mismatch("the server showed a key that known_hosts does not have for " + name, kScan);
}

int answer_credentials(git_credential** out, const char* user, unsigned allowed,
                       TransferMeter& meter) {
  const Credentials* known = meter.access == nullptr ? nullptr : &meter.access->credentials;
  std::string name = user == nullptr ? "" : user;
  if (name.empty() && known != nullptr) name = known->username;
  if (name.empty()) name = "git";
  if ((allowed & GIT_CREDENTIAL_USERNAME) != 0) {
    return git_credential_username_new(out, name.c_str());
  }
  if (known == nullptr || (known->identity.empty() && known->password.empty())) {
    return refuse_credentials(meter, "the server asks for credentials",
                              "name a Secret in secretRef");
  }
  if (++meter.questions > kMaxQuestions) {
    return refuse_credentials(meter, "the server does not accept the credentials",
                              "renew what secretRef names");
  }
  if (!known->identity.empty() && (allowed & GIT_CREDENTIAL_SSH_MEMORY) != 0) {
    return git_credential_ssh_key_memory_new(out, name.c_str(), nullptr, known->identity.c_str(),
                                             known->password.c_str());
  }
  if (known->identity.empty() && (allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) != 0) {
    return git_credential_userpass_plaintext_new(out, name.c_str(), known->password.c_str());
  }
  return refuse_credentials(meter, "the server takes no such credentials as secretRef names",
                            "ask its operator which it takes");
}

// libgit2 takes 0 as "trust it", so what was found must be passed on.
int judge_certificate(git_cert* certificate, bool valid, TransferMeter& meter) {
  if (certificate != nullptr && certificate->cert_type == GIT_CERT_X509 && valid) return 0;
  if (certificate == nullptr || certificate->cert_type != GIT_CERT_HOSTKEY_LIBSSH2) {
    return fail_with(meter, Error{Code::denied, "the server's certificate does not verify",
                                  "TlsRefused", {}, {}}, GIT_ERROR_SSL, GIT_ECERTIFICATE);
  }
  const auto* shown = reinterpret_cast<const git_cert_hostkey*>(certificate);
  if ((shown->type & GIT_CERT_SSH_RAW) == 0 || meter.access == nullptr || meter.url == nullptr) {
    return fail_with(meter, Error{Code::denied, "the server showed no key", "HostKeyMismatch", {},
                                  {}}, GIT_ERROR_SSH, GIT_ECERTIFICATE);
  }
  auto judged = judge_host_key(meter.access->credentials.known_hosts, meter.url->host,
                               meter.url->port, {shown->hostkey, shown->hostkey_len});
  if (judged) return 0;
  return fail_with(meter, std::move(judged).error(), GIT_ERROR_SSH, GIT_ECERTIFICATE);
}

}  // namespace moored::git
