// Who is at the other end of an ssh connection, and who we are there.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.hpp"

struct git_credential;
struct git_cert;

namespace moored::git {

struct TransferMeter;

// Compares the key that a server showed with known_hosts, as OpenSSH writes it (plain or hashed
// names; [name]:port for other ports than 22). There is no trust on first use.
// Errors: denied (HostKeyMismatch) for another key, for a host that is not listed, and for lines
// that cannot be honoured.
Status judge_host_key(const std::string& known_hosts, const std::string& host, int port,
                      std::string_view key);

// Answers libgit2's question who we are from the meter's access, at most twice.
int answer_credentials(git_credential** out, const char* user, unsigned allowed,
                       TransferMeter& meter);
// Judges the certificate or host key that libgit2 shows. valid is its own opinion, for TLS.
int judge_certificate(git_cert* certificate, bool valid, TransferMeter& meter);

}  // namespace moored::git
