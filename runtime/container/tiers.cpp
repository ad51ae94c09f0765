#include "runtime/container/tiers.hpp"

namespace moored::container {

void Tiers::put(const std::string& uid, const std::string& qos_class, std::int64_t request_milli) {
  const std::lock_guard lock(mutex_);
  if (qos_class == "BestEffort" && !best_effort_told_) {
    best_effort_told_ = tree_.set_shares("pods/besteffort", 0).has_value();
  }
  if (qos_class != "Burstable") return;
  auto& present = requests_milli_[uid];
  sum_milli_ += request_milli - present;
  present = request_milli;
  weigh_burstable();
}

void Tiers::remove(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  const auto found = requests_milli_.find(uid);
  if (found == requests_milli_.end()) return;
  sum_milli_ -= found->second;
  requests_milli_.erase(found);
  weigh_burstable();
}

void Tiers::weigh_burstable() {
  if (told_milli_ == sum_milli_) return;
  told_milli_.reset();
  if (tree_.set_shares("pods/burstable", sum_milli_)) told_milli_ = sum_milli_;
}

}  // namespace moored::container
