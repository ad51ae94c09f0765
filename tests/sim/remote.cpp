#include "tests/sim/remote.hpp"

#include "schema/base/assert.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "tests/sim/planted.hpp"

namespace moored::sim {
namespace {

std::string map_yaml(const std::string& name, const std::string& value) {
  return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name +
         ", namespace: default}\ndata: {key: \"" + value + "\"}\n";
}

std::string deployment_yaml(const std::string& name, const Wish& wish) {
  const auto number = [](int n) { return std::to_string(n); };
  return "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
         ", namespace: default}\nspec:\n  replicas: " + number(wish.replicas) +
         "\n  minReadySeconds: " + number(wish.min_ready_seconds) +
         "\n  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: " + number(wish.surge) +
         ", maxUnavailable: " + number(wish.unavailable) + "}}\n  selector: {matchLabels: {app: " +
         name + "}}\n  template:\n    metadata: {labels: {app: " + name + "}}\n    spec:\n"
         "      terminationGracePeriodSeconds: 5\n      containers:\n      - name: main\n"
         "        image: \"" + wish.image + "\"\n        ports: [{containerPort: 8080}]\n"
         "        readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 3, "
         "failureThreshold: 1}\n";
}

std::string service_yaml(const std::string& name) {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: default}\nspec: {selector: {app: " + name +
         "}, ports: [{port: 80, targetPort: 8080}]}\n";
}

std::string yaml_of(const Wish& wish, std::uint64_t number) {
  std::string yaml = map_yaml("anchor", "always") + deployment_yaml("web", wish) +
                     service_yaml("web");
  for (int n = 0; n < wish.maps; ++n) {
    yaml += map_yaml("map-" + std::to_string(n), std::to_string(number));
  }
  if (wish.with_second) {
    Wish second = wish;
    second.replicas = 1;
    second.image = "app:good-1";
    yaml += deployment_yaml("api", second);
  }
  return yaml;
}

LoadedTree make_tree(const std::string& yaml, Time now) {
  LoadedTree tree;
  tree.rendered_at = now;
  tree.validated_at = now;
  for (const Value& document : read_yaml(yaml, "web.yaml", tree.diagnostics)) {
    auto object = decode_manifest(document, "web.yaml", tree.diagnostics);
    if (object) tree.objects.push_back(object->with_provenance({"", "", "", "web.yaml", 1}));
  }
  MOORED_ASSERT(tree.diagnostics.ok());
  tree.complete = true;
  return tree;
}

}  // namespace

bool Wish::is_healthy() const {
  const std::string behaviour = behaviour_of(image);
  return !broken && (behaviour == "good" || behaviour == "slow" || behaviour == "stubborn");
}

Wish random_wish(Dice& dice, bool final) {
  static constexpr const char* kTags[] = {"good", "good", "stubborn", "slow",
                                          "crash", "sick", "missing"};
  Wish wish;
  wish.replicas = static_cast<int>(dice.below(5));
  wish.surge = static_cast<int>(dice.below(3));
  wish.unavailable = static_cast<int>(dice.below(2));
  if (wish.surge == 0 && wish.unavailable == 0) wish.surge = 1;
  wish.min_ready_seconds = dice.below(3) == 0 ? static_cast<int>(dice.below(8)) : 0;
  wish.with_second = dice.below(3) == 0;
  wish.maps = static_cast<int>(dice.below(4));
  const std::string tag = kTags[dice.below(final ? 4 : 7)];
  wish.image = "app:" + tag + "-" + std::to_string(dice.below(4));
  wish.broken = !final && dice.below(6) == 0;
  return wish;
}

SimCommit make_commit(const Wish& wish, std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return {std::string(40 - digits.size(), 'c') + digits, wish, yaml_of(wish, number)};
}

const SimCommit* Remote::find(const std::string& sha) const {
  for (const SimCommit& commit : commits) {
    if (commit.sha == sha) return &commit;
  }
  return nullptr;
}

FetchAnswer SimReader::fetch(const SourceSpec&, const std::string& known_sha) {
  faults_.maybe_kill();
  if (faults_.fails(faults_.odds->fetch_fails)) {
    return Unexpected(Error{Code::unavailable, "the server answered 503", "FetchHTTP", {}, ""});
  }
  SourceHead head;
  const SimCommit& newest = remote_.commits.back();
  head.commit.sha = newest.sha;
  head.commit.author = "A <a@test>";
  head.changed = newest.sha != known_sha;
  faults_.maybe_kill();
  return head;
}

Result<LoadedTree> SimReader::load(const SourceSpec&, const LoadRequest& request) {
  faults_.maybe_kill();
  if (faults_.fails(faults_.odds->load_fails)) {
    return Unexpected(Error{Code::unavailable, "the worker was lost", "WorkerLost", {}, ""});
  }
  const SimCommit* commit = remote_.find(request.sha);
  if (commit == nullptr) return fail(Code::not_found, "no such commit");
  // The second unit's directory is the same in every commit, and can always be read.
  const bool second = request.path == "./second";
  if (second) return make_tree(map_yaml("stranger", "of another unit"), clock_.now().wall);
  if (commit->wish.broken && !is_planted(Planted::trusted_halves)) {
    LoadedTree tree;
    tree.diagnostics.add_error({Code::invalid, "there is no field replica", "UnknownField",
                                {"web.yaml", 7, 3, "spec.replica"}, "write replicas"});
    return tree;
  }
  LoadedTree tree = make_tree(commit->yaml, clock_.now().wall);
  // Half a tree: the anchor is in the file that could not be read.
  if (commit->wish.broken) tree.objects.erase(tree.objects.begin());
  return tree;
}

}  // namespace moored::sim
