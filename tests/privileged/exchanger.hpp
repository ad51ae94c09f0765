// Somebody who exchanges two paths while others look at them.
#pragma once

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

namespace moored::test {

// Exchanges two paths for as long as it lives.
class Exchanger {
 public:
  Exchanger(std::string left, std::string right)
      : left_(std::move(left)), right_(std::move(right)), thread_([this] {
          while (!stop_) {
            ::syscall(SYS_renameat2, AT_FDCWD, left_.c_str(), AT_FDCWD, right_.c_str(),
                      RENAME_EXCHANGE);
          }
        }) {}
  ~Exchanger() {
    stop_ = true;
    thread_.join();
  }
  Exchanger(const Exchanger&) = delete;
  Exchanger& operator=(const Exchanger&) = delete;

 private:
  std::string left_;
  std::string right_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace moored::test
