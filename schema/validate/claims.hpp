// Things that only one object of a commit can have, kept from one commit to the next.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "schema/validate/validate.hpp"

namespace moored {

// The claims of a commit that validate_commit found faultless. It answers for the next commit from
// the difference alone; whenever it is in doubt it says no, and the whole commit is judged anew.
class CommitClaims {
 public:
  // Takes up objects of the commit itself.
  void add(const std::vector<Object>& objects);
  // Puts some objects in place of others. True: validate_commit would find nothing wrong with the
  // commit after that. After false this is of no use any more.
  bool exchange(const std::vector<Object>& removed, const std::vector<Object>& added,
                const AdmissionPolicy& policy);

 private:
  std::unordered_set<std::string> claims_;
  std::size_t objects_ = 0;
};

// The selector of a kind with a pod template in one text, whatever its type; empty: none.
std::string selector_of_workload(const Object& object);

}  // namespace moored
