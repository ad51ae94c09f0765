// Status, receipt, history and drift, read off the store. The shapes stand in docs/api.md.
#pragma once

#include <string>

#include "schema/ports/reports.hpp"

namespace moored {

class Store;

// Stateless over the store, which must outlive it. Thread safe.
class StoreReports final : public Reports {
 public:
  // Objects that /status names as not ready, worst first; the rest is counted.
  static constexpr std::size_t kMaxNotReady = 100;

  explicit StoreReports(const Store& store) : store_(store) {}

  // Errors of all: those of the store's reads; what each asks beyond that is said there.
  Result<Value> read_status() const override;
  // sha: at least four hexadecimal digits. Errors: not_found, conflict (Ambiguous), invalid.
  Result<Value> read_receipt(const std::string& sha) const override;
  // object: Kind/namespace/name, or as people write it: deploy/web, deployment/shop/web.
  // Errors: invalid (no such form), not_found (no such kind).
  Result<Value> read_history(const std::string& object, std::size_t limit) const override;
  Result<Value> read_drift(std::size_t limit) const override;

 private:
  const Store& store_;
};

// Kind/namespace/name of an object that a person names; the kind by any of its names, a missing
// namespace is default.
Result<std::string> parse_object_name(const std::string& text);
// A clone URL without what must not be seen: https://***@host/path.
std::string mask_url(const std::string& url);
// The outcome's reason in "where: where: Reason: sentence": its first part that is one word.
std::string reason_in_text(const std::string& text);

}  // namespace moored
