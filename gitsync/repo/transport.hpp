// Counts what a server sends, and refuses before memory or disk is spent. Wraps our transports for
// http and git and libgit2's own for ssh, which know no limit and no sign of life.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "gitsync/repo/access.hpp"
#include "schema/base/result.hpp"

namespace moored::git {

class HttpClient;

// The limits and the count of one conversation with a server.
struct TransferMeter {
  std::size_t advertisement_limit = 32U << 20U;  // bytes of the list of references
  std::size_t wanted_limit = 8U << 20U;          // and of the wanted ones, which libgit2 keeps
  // The reference that the list is asked for; with a slash at its end all below; empty: all.
  std::string wanted;
  std::size_t pack_limit = 512U << 20U;          // bytes of one pack
  std::function<void()> progress;                // called whenever bytes have come; may be empty

  std::size_t advertisement_bytes = 0;
  std::size_t wanted_bytes = 0;
  std::size_t pack_bytes = 0;
  std::string exceeded;                          // AdvertisementLimit or DiskBudget

  // The server and who we are for it; all outlive the conversation, none may be needed.
  const SourceUrl* url = nullptr;
  const ServerAccess* access = nullptr;
  HttpClient* http = nullptr;
  int questions = 0;                             // how often the server has asked who we are
  std::optional<Error> failure;                  // what a callback knows better than libgit2
  // Set when the server is overloaded: how long it asks to be left alone; 0: it names no time.
  std::optional<std::chrono::seconds> wait;
};

// Makes a meter the one that counts on this thread for as long as the scope lives.
class MeterScope {
 public:
  explicit MeterScope(TransferMeter& meter);
  ~MeterScope();
  MeterScope(const MeterScope&) = delete;
  MeterScope& operator=(const MeterScope&) = delete;
};

// The meter that counts on this thread, or nothing.
TransferMeter* find_meter();

// Puts the counting transports in place of libgit2's. Called once by start_library().
Status register_counted_transports();

}  // namespace moored::git
