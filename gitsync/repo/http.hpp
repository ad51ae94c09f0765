// HTTP for libgit2 over libcurl: what libgit2's own transport lacks are deadlines, proxies, client
// certificates, tokens, and a say in where a redirect leads.
#pragma once

#include <memory>

#include "gitsync/repo/access.hpp"

struct git_smart_subtransport;
struct git_transport;

namespace moored::git {

// Connections that outlive one look, so that the next one need not shake hands again. One thread.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Sets who we are. Connections made for somebody else are closed.
  void set_access(const ServerAccess& access);

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// Makes a subtransport of libgit2 for http and https, to be wrapped by the counting one. It takes
// its client and its limits from the meter of the thread, and leaves the reason of a failure there.
int make_http_subtransport(git_smart_subtransport** out, git_transport* owner, void* param);

}  // namespace moored::git
