#include "schema/host/own_thread.hpp"

#include <system_error>
#include <thread>

namespace moored {

// std::thread tells by an exception that there is none to be had: a daemon must live through that.
Status run_on_own_thread(const std::function<Status()>& work) {
  Status status;
  try {
    std::thread thread([&] { status = work(); });
    thread.join();
  } catch (const std::system_error& refused) {
    Error error{Code::exhausted, std::string("no thread can be started: ") + refused.what(),
                "NoThread", {}, {}};
    return Unexpected(std::move(error).mend("raise the limit of tasks, or end other processes"));
  }
  return status;
}

}  // namespace moored
