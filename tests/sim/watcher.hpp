// A client that lists once and then watches: what it holds must be what is recorded.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "net/api/change_feed.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::sim {

class Watcher {
 public:
  // A daemon is there: goes on where the last one left off.
  void connect(const StateSource& source);
  void disconnect() { feed_.reset(); }
  // Takes in what is new. What must not be seen, in words; empty: nothing of it was.
  std::string look(const StateView& view);
  // Times that history was gone and everything was listed anew.
  int lists() const { return lists_; }

 private:
  struct Held {
    std::map<ObjectKey, std::string> versions;
    std::int64_t seen = -1;   // -1: nothing was listed yet
  };
  std::string follow(const Kind& kind, Held& held, const StateView& view);
  static std::string take(const Change& change, Held& held);
  static std::string compare(const Kind& kind, const Held& held, const StateView& view);
  void list(const Kind& kind, Held& held, const StateView& view);

  std::unique_ptr<net::api::ChangeFeed> feed_;
  std::map<const Kind*, Held> held_;
  int lists_ = 0;
};

}  // namespace moored::sim
