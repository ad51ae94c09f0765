// A commit judged by its difference from the last one, against judging all of it.
#include "schema/validate/claims.hpp"

#include <catch2/catch.hpp>

#include "schema/base/random.hpp"
#include "tests/unit/schema/model_support.hpp"

namespace moored {
namespace {

using testing::decode_good;

Object config_map(int number) {
  return decode_good("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m" +
                     std::to_string(number) + ", namespace: shop}\n");
}

Object deployment(int number, int app) {
  const std::string label = "{app: a" + std::to_string(app) + "}";
  return decode_good("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d" +
                     std::to_string(number) + ", namespace: shop}\nspec:\n  selector: {matchLabels: " +
                     label + "}\n  template:\n    metadata: {labels: " + label +
                     "}\n    spec: {containers: [{name: c, image: a:1}]}\n");
}

Object service(int number, int address) {
  return decode_good("apiVersion: v1\nkind: Service\nmetadata: {name: s" + std::to_string(number) +
                     ", namespace: shop}\nspec: {clusterIP: 10.210.0." + std::to_string(address) +
                     ", ports: [{port: 80}]}\n");
}

bool is_faultless(const std::vector<Object>& objects, const AdmissionPolicy& policy) {
  Diagnostics diagnostics;
  validate_commit(objects, policy, diagnostics);
  return diagnostics.error_count() + diagnostics.warning_count() == 0;
}

Object any_object(SeededRandom& random) {
  const int number = static_cast<int>(random.below(6));
  const int claim = static_cast<int>(random.below(6));
  switch (random.below(3)) {
    case 0: return config_map(number);
    case 1: return deployment(number, claim);
    default: return service(number, claim + 1);
  }
}

TEST_CASE("the difference says yes exactly when the whole is without fault") {
  SeededRandom random(11);
  AdmissionPolicy policy;
  policy.max_objects = 9;
  int yes = 0;
  int no = 0;
  for (int turn = 0; turn < 400; ++turn) {
    std::vector<Object> objects;
    for (int i = 0; i < 5; ++i) {
      objects.push_back(any_object(random));
      if (!is_faultless(objects, policy)) objects.pop_back();
    }
    CommitClaims claims;
    claims.add(objects);
    std::vector<Object> removed;
    std::vector<Object> added;
    std::vector<Object> next;
    for (const auto& object : objects) (random.below(3) == 0 ? removed : next).push_back(object);
    for (std::size_t i = random.below(4); i > 0; --i) added.push_back(any_object(random));
    next.insert(next.end(), added.begin(), added.end());
    const bool answer = claims.exchange(removed, added, policy);
    CHECK(answer == is_faultless(next, policy));
    ++(answer ? yes : no);
  }
  CHECK(yes > 50);
  CHECK(no > 50);
}

TEST_CASE("whatever is judged by name against others is left to the whole") {
  CommitClaims claims;
  const Object source = decode_good(
      "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n"
      "metadata: {name: a, namespace: flux}\nspec: {url: 'https://example.org/a', interval: 1m}\n");
  CHECK_FALSE(claims.exchange({}, {source}, {}));
  CommitClaims others;
  others.add({source});
  CHECK_FALSE(others.exchange({source}, {}, {}));
}

TEST_CASE("an object that may not be is refused also in a difference") {
  AdmissionPolicy policy;
  CommitClaims claims;
  claims.add({config_map(1)});
  const Object shouting = decode_good(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec:\n"
      "  hostNetwork: true\n  containers: [{name: c, image: a:1}]\n");
  CHECK_FALSE(is_faultless({shouting}, policy));
  CHECK_FALSE(claims.exchange({}, {shouting}, policy));
}

}  // namespace
}  // namespace moored
