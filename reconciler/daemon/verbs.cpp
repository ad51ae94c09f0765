#include "reconciler/daemon/verbs.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "gitsync/follow/follower.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "reconciler/core/recovery.hpp"
#include "reconciler/core/reduce.hpp"
#include "reconciler/daemon/parts.hpp"
#include "reconciler/daemon/sources.hpp"
#include "reconciler/diff/commit.hpp"
#include "reconciler/loop/receipts.hpp"
#include "reconciler/store/store.hpp"
#include "runtime/agent/agent.hpp"
#include "runtime/container/shim_sandbox.hpp"
#include "runtime/image/content_store.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"
#include "schema/ports/reports.hpp"

namespace moored {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLookAgain{50};
constexpr std::size_t kOutputLimit = 10U << 10U;  // bytes that the shim keeps of a program's output

// An absent member is the empty text, as reports leave out what they do not know.
std::string text_of(const Value& value, std::string_view member) {
  const Value* found = value.find(member);
  return found == nullptr ? std::string() : found->scalar;
}

// After these nothing more happens to a revision by itself; "progressing" goes on. A commit that
// was refused because something it declares is still going is tried again at each look.
bool is_settled(const Value& receipt) {
  const auto outcome = text_of(receipt, "outcome");
  const auto reason = text_of(receipt, "reason");
  if (outcome == "refused") return reason != "NamespaceTerminating" && reason != "Terminating";
  return outcome == "ready" || outcome == "failed" || outcome == "held";
}

// Without a namespace "default" is meant, as kubectl has it.
Result<Pod> find_pod(const StateView& view, const ExecVerb& verb) {
  const auto name_space = verb.namespace_name.empty() ? "default" : verb.namespace_name;
  const auto object = view.find(key_of<Pod>(name_space, verb.pod));
  if (object) return object->as<Pod>();
  return Unexpected(Error{Code::not_found, "there is no pod " + name_space + "/" + verb.pod,
                          "NotFound", {}, "see kubectl get pods -A"});
}

// The container named, or the first one.
Result<std::string> choose_container(const Pod& pod, const std::string& wanted) {
  for (const auto& container : pod.spec.containers) {
    if (wanted.empty() || container.name == wanted) return container.name;
  }
  return fail(Code::not_found, "pod " + pod.metadata.name + " has no container " + wanted);
}

// size is in bytes; the units that people read are the matter of the client.
Value image_row(const ImageReport& image) {
  Value row = Value::make_map();
  row.put("name", Value::of_text(image.name));
  row.put("digest", Value::of_text(image.digest));
  row.put("size", Value::of_integer(image.size_bytes));
  return row;
}

Value image_rows(const std::vector<ImageReport>& images) {
  Value rows = Value::make_list();
  for (const auto& image : images) rows.items.push_back(image_row(image));
  Value out = Value::make_map();
  out.put("images", std::move(rows));
  return out;
}

// Every container that was ever started, with its pod.
std::vector<std::pair<ObjectKey, ContainerStatus>> container_statuses(const StateView& view) {
  std::vector<std::pair<ObjectKey, ContainerStatus>> out;
  for (const auto& object : view.list(kind_of<Pod>())) {
    const auto& status = object.as<Pod>().status;
    for (const auto& row : status.init_container_statuses) out.emplace_back(object.key(), row);
    for (const auto& row : status.container_statuses) out.emplace_back(object.key(), row);
  }
  return out;
}

// The units that follow a source (namespace/name) now.
std::vector<Kustomization> units_of(const StateView& view, const std::string& source) {
  std::vector<Kustomization> units;
  for (const auto& object : view.list(kind_of<Kustomization>())) {
    const auto& unit = object.as<Kustomization>();
    const auto& ref = unit.spec.source_ref;
    const auto& name_space =
        ref.namespace_name.empty() ? unit.metadata.namespace_name : ref.namespace_name;
    if (!unit.spec.suspend && name_space + "/" + ref.name == source) units.push_back(unit);
  }
  return units;
}

// Whether all of them have tried the commit last.
bool is_taken(const std::vector<Kustomization>& units, const std::string& sha) {
  return std::all_of(units.begin(), units.end(), [&](const Kustomization& unit) {
    return sha_of_revision(unit.status.last_attempted_revision) == sha;
  });
}

// The unit that a plan is about.
Result<Kustomization> find_unit(const StateView& view, const std::string& name) {
  std::string name_space = kSystemNamespace;
  std::string unit = name.empty() ? kDefaultName : name;
  if (const auto slash = unit.find('/'); slash != std::string::npos) {
    name_space = unit.substr(0, slash);
    unit = unit.substr(slash + 1);
  }
  const auto object = view.find(key_of<Kustomization>(name_space, unit));
  if (object) return object->as<Kustomization>();
  return Unexpected(Error{Code::not_found, "there is no unit " + name_space + "/" + unit,
                          "NotFound", {}, "see moorctl status"});
}

// What a person may have meant, most likely first: full reference names and whole commit ids are
// themselves; anything else is a branch, a tag, or the beginning of a commit id.
std::vector<std::string> references_for(const std::string& text) {
  const bool digits = text.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (text == "HEAD" || text.rfind("refs/", 0) == 0 || (digits && text.size() == 40)) return {text};
  std::vector<std::string> references{"refs/heads/" + text, "refs/tags/" + text};
  if (digits && text.size() >= 7 && text.size() < 40) references.push_back(text);
  return references;
}

// The first of them that is there; only a reference that is missing makes way for the next.
Result<SourceHead> fetch_first(WorkerReader& reader, SourceSpec spec, const std::string& text) {
  for (const auto& reference : references_for(text)) {
    spec.reference = reference;
    auto head = reader.fetch(spec, {});
    if (head || head.error().reason != "RefNotFound") return head;
  }
  return Unexpected(Error{Code::not_found, "the repository has no branch, tag or commit " + text,
                          "RefNotFound", {}, "push it, or write seven digits of a commit"});
}

}  // namespace

// The teardown ends this thread too, so it is not carried out here: it is asked for, and its result
// awaited. A second request is refused, as there is one answer to give.
Result<Value> DownRequest::ask(const DownVerb& verb, const std::function<void()>& wake) {
  std::unique_lock lock(mutex_);
  if (verb_) return fail(Code::conflict, "somebody else has asked for it already");
  verb_ = verb;
  wake();
  answered_.wait(lock, [&] { return result_.has_value(); });
  return *result_;
}

std::optional<DownVerb> DownRequest::find() const {
  const std::lock_guard lock(mutex_);
  return result_ ? std::nullopt : verb_;
}

void DownRequest::answer(Result<Value> result) {
  const std::lock_guard lock(mutex_);
  result_ = std::move(result);
  answered_.notify_all();
}

DaemonVerbs::DaemonVerbs(Parts& parts, DownRequest& down, std::function<void()> wake)
    : parts_(parts), down_(down), wake_(std::move(wake)) {}

// Of several sources the first that did not become ready is what the answer is about.
Result<Value> DaemonVerbs::sync(const SyncVerb& verb, AdminProgress& progress) {
  MOORED_TRY(const auto looks, parts_.follower->sync_now(verb.source, verb.timeout));
  const auto end = steady_clock::now() + verb.timeout;
  Value sources = Value::make_list();
  Value last = Value::make_map();
  std::string revision;
  std::string outcome;
  for (const auto& look : looks) {
    Value row = Value::make_map();
    row.put("source", Value::of_text(look.source));
    row.put("revision", Value::of_text(look.revision));
    if (look.error) row.put("error", Value::of_text(look.error->text()));
    sources.items.push_back(std::move(row));
    if (verb.wait && look.error) return Unexpected(*look.error);
    const bool open = outcome.empty() || outcome == "ready";
    if (look.revision.empty() || !open) continue;
    revision = look.revision;
    if (!verb.wait || units_of(*parts_.store->view(), look.source).empty()) continue;
    MOORED_TRY(const auto receipt, wait_for_outcome(look, end, progress));
    outcome = text_of(receipt, "outcome");
    last = receipt;
  }
  if (verb.wait && outcome.empty() && !revision.empty()) {
    return fail(Code::conflict, "no unit follows " + revision + ", so nothing becomes ready");
  }
  Value out = Value::make_map();
  for (const auto* member : {"outcome", "reason", "message"}) {
    if (verb.wait) out.put(member, Value::of_text(text_of(last, member)));
  }
  out.put("revision", Value::of_text(revision));
  out.put("ready", Value::of_boolean(outcome == "ready"));
  out.put("sources", std::move(sources));
  return out;
}

Result<Value> DaemonVerbs::wait_for_outcome(const LookReport& look, steady_clock::time_point end,
                                            AdminProgress& progress) {
  const auto sha = sha_of_revision(look.revision);
  std::set<std::string> shown;
  bool taken = false;
  while (!progress.cancelled()) {
    auto receipt = parts_.reports->read_receipt(sha);
    if (!receipt && receipt.error().code != Code::not_found) return receipt;
    // A commit that Git went back to has its old receipt until the units take it up again.
    const bool current = receipt && is_taken(units_of(*parts_.store->view(), look.source), sha);
    if (taken && !current) return receipt;
    taken = current;
    for (std::size_t i = 0; current && i < receipt->find("steps")->items.size(); ++i) {
      const auto name = text_of(receipt->find("steps")->items[i], "name");
      if (shown.insert(name).second) progress.report(Value::of_text(name));
    }
    if (current && is_settled(*receipt)) return receipt;
    if (steady_clock::now() > end) {
      return Unexpected(Error{Code::timeout, "revision " + sha.substr(0, 12) + " is not ready yet",
                              "Timeout", {}, "see moorctl status"});
    }
    std::this_thread::sleep_for(kLookAgain);
  }
  return fail(Code::unavailable, "nobody waits any more");
}

// The way of an exec probe, so rights, environment and output limit are those of probes.
Result<Value> DaemonVerbs::exec(const ExecVerb& verb, AdminProgress&) {
  MOORED_TRY(const auto pod, find_pod(*parts_.store->view(), verb));
  ProbeRequest request;
  MOORED_TRY(request.container, choose_container(pod, verb.container));
  request.type = ProbeRequest::Type::exec;
  request.command = verb.command;
  request.timeout = verb.timeout;
  MOORED_TRY(const auto result, parts_.sandbox->run_probe(pod.metadata.uid, request));
  if (result.outcome == ProbeResult::Outcome::unknown) {
    return fail(Code::conflict, "the program could not be run: " + result.output);
  }
  Value out = Value::make_map();
  out.put("exitCode", Value::of_integer(result.exit_code));
  out.put("output", Value::of_text(result.output));
  out.put("truncated", Value::of_boolean(result.output.size() >= kOutputLimit));
  return out;
}

// Pods that waited for the image are tried at once instead of after their back-off.
Result<Value> DaemonVerbs::image_import(const ImageImportVerb& verb, AdminProgress& progress) {
  image::ImportRequest request;
  request.path = verb.path;
  request.name = verb.name;
  request.progress = [&](const image::ImportStep& step) {
    progress.report(Value::of_text(step.text));
  };
  MOORED_TRY(const auto images, parts_.images->import(request));
  parts_.agent->retry_images();
  return image_rows(images);
}

Result<Value> DaemonVerbs::image_list(const ImageListVerb&, AdminProgress&) {
  MOORED_TRY(const auto images, parts_.images->list());
  return image_rows(images);
}

// Refused while any recorded container runs it; layers that other containers' images share are
// handed to the store so that they stay.
Result<Value> DaemonVerbs::image_remove(const ImageRemoveVerb& verb, AdminProgress&) {
  auto found = parts_.images->find(verb.name);
  if (!found && found.error().code != Code::not_found) return Unexpected(std::move(found).error());
  if (!found) {
    return Unexpected(Error{Code::not_found, "there is no image " + verb.name, "NotFound", {},
                            "see moorctl image ls"});
  }
  const auto& image = *found;
  MOORED_TRY(const auto all, parts_.images->list());
  const auto known = std::count_if(all.begin(), all.end(), [&](const ImageReport& one) {
    return one.digest == image.digest;
  });
  // One of several names may go while a container runs from another.
  const bool last = known < 2 || verb.name.find(image.digest) != std::string::npos;
  std::vector<std::string> layers;
  for (const auto& [object, status] : container_statuses(*parts_.store->view())) {
    if (status.image_id.find(image.digest) != std::string::npos &&
        (last || status.image == image.name)) {
      return fail(Code::conflict, object.text() + " uses " + image.name);
    }
    // By digest: the name may mean another image by now.
    const auto at = status.image_id.find('@');
    if (at == std::string::npos) continue;
    const auto used = parts_.images->find(status.image_id.substr(at + 1));
    if (used) layers.insert(layers.end(), used->layers.begin(), used->layers.end());
  }
  MOORED_TRY(const auto removed, parts_.images->remove(verb.name, layers));
  Value names = Value::make_list();
  for (const auto& name : removed) names.items.push_back(Value::of_text(name));
  Value out = Value::make_map();
  out.put("removed", std::move(names));
  return out;
}

// Goes the way of a real look, with the worker and all limits, but posts no fact: the result is
// only looked at. The configured URL is allowed by its exact text, as the follower does.
Result<TreeLoaded> DaemonVerbs::load_tree(const PlanVerb& verb, const Kustomization& unit) {
  TreeLoaded tree;
  tree.unit = key_of<Kustomization>(unit.metadata.namespace_name, unit.metadata.name);
  const auto& ref = unit.spec.source_ref;
  const auto source_namespace =
      ref.namespace_name.empty() ? unit.metadata.namespace_name : ref.namespace_name;
  tree.source = key_of<GitRepository>(source_namespace, ref.name);
  LoadedTree loaded;
  if (!verb.path.empty()) {
    tree.revision = verb.path;
    MOORED_TRY(loaded, parts_.reader->load_directory(verb.path, unit.spec.target_namespace));
  } else {
    const auto source = parts_.store->view()->find(tree.source);
    if (!source) return fail(Code::not_found, "there is no source " + tree.source.text());
    SourceSpec spec;
    spec.id = source_namespace + "/" + ref.name;
    spec.url = source->as<GitRepository>().spec.url;
    spec.allow_local =
        parts_.configuration.allow_local_sources || spec.url == parts_.configuration.git_url;
    MOORED_TRY(const auto head, fetch_first(*parts_.reader, spec, verb.revision));
    tree.commit = head.commit;
    tree.revision = verb.revision + "@sha1:" + head.commit.sha;
    LoadRequest request;
    request.sha = head.commit.sha;
    request.path = unit.spec.path;
    request.target_namespace = unit.spec.target_namespace;
    MOORED_TRY(loaded, parts_.reader->load(spec, request));
  }
  tree.complete = loaded.complete;
  tree.objects = std::move(loaded.objects);
  tree.diagnostics = std::move(loaded.diagnostics);
  return tree;
}

// Planned against one snapshot and nothing is recorded. Provenance is set as the follower would set
// it, because places in the plan are told by it.
Result<Value> DaemonVerbs::plan(const PlanVerb& verb, AdminProgress&) {
  const auto view = parts_.store->view();
  MOORED_TRY(const auto unit, find_unit(*view, verb.unit));
  MOORED_TRY(auto tree, load_tree(verb, unit));
  for (auto& object : tree.objects) {
    auto provenance = object.provenance();
    provenance.source = tree.source.namespace_name + "/" + tree.source.name;
    provenance.unit = tree.unit.namespace_name + "/" + tree.unit.name;
    provenance.revision = tree.revision;
    object = object.with_provenance(std::move(provenance));
  }
  const auto planned = plan_commit(tree, *view, PruneBudget{}, false);
  Value out = to_value(planned);
  out.put("markdown", Value::of_text(to_markdown(planned)));
  return out;
}

// After a loss of the store: pods that no source asks for, waiting for this word.
Result<Value> DaemonVerbs::confirm_recovered() {
  const auto node = parts_.store->view()->find(key_of<Node>({}, parts_.configuration.node_name));
  const Condition* found =
      node ? find_condition(node->as<Node>().status.conditions, kRecoveringCondition) : nullptr;
  if (found == nullptr || found->status != "True" || found->reason != "PruneGuard") {
    return Unexpected(Error{Code::not_found, "no recovered pods are held", "NotFound", {},
                            "see moorctl status"});
  }
  Value out = Value::make_map();
  out.put("revision", Value::of_text(std::string(kRecoveredSubject)));
  return out;
}

// What is held here is what the record of this verb will allow: both ask list_held().
Result<Value> DaemonVerbs::confirm(const ConfirmVerb& verb, AdminProgress&) {
  if (verb.revision == kRecoveredSubject) return confirm_recovered();
  const auto held = list_held(*parts_.store->view(), admin_verb_subject(verb));
  if (verb.revision.empty() || held.empty()) {
    const std::string unit = verb.unit.empty() ? "" : " in " + verb.unit;
    return Unexpected(Error{Code::not_found, "nothing is held at " + verb.revision + unit,
                            "NotFound", {}, "see moorctl status"});
  }
  Value out = Value::make_map();
  out.put("revision",
          Value::of_text(held.front().as<Kustomization>().status.last_attempted_revision));
  return out;
}

Result<Value> DaemonVerbs::down(const DownVerb& verb, AdminProgress& progress) {
  progress.report(Value::of_text("stopping pods"));
  return down_.ask(verb, wake_);
}

}  // namespace moored
