// What a person may ask of a running daemon over its root-only socket.
#pragma once

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/codec/value.hpp"

namespace moored {

// Looks at the sources now instead of at the next poll.
struct SyncVerb {
  std::string source;  // namespace/name of a GitRepository; empty: all of them
  bool wait = false;   // answer when the revision found is ready or has failed
  std::chrono::milliseconds timeout{300'000};
};

// Runs a program in a container that runs. Output is collected, not streamed.
struct ExecVerb {
  std::string namespace_name;
  std::string pod;
  std::string container;  // empty: the only one, or the first
  std::vector<std::string> command;
  std::chrono::milliseconds timeout{30'000};
};

// Takes an image archive (docker save, OCI layout) from this machine into the content store.
struct ImageImportVerb {
  std::string path;  // absolute
  std::string name;  // reference to give it; empty: the names inside the archive
};
// Names what is in the content store.
struct ImageListVerb {};
// Takes a name away; contents that nothing else names go with it.
struct ImageRemoveVerb {
  std::string name;  // reference or digest
};

// Says what a tree would change, without changing anything.
struct PlanVerb {
  std::string unit;      // namespace/name of a Kustomization; empty: moored-system/default
  std::string path;      // absolute directory with manifests; empty: the unit's own source
  std::string revision;  // commit of the unit's source; only without path
};

// Allows a prune that is held because it takes away too much.
struct ConfirmVerb {
  std::string revision;  // as the held unit names it, or at least seven digits of its commit
  std::string unit;      // namespace/name; empty: whichever is held at the revision
};

// Stops every pod and removes what moored made on this machine.
struct DownVerb {
  bool keep_images = true;
};

using AdminVerb = std::variant<SyncVerb, ExecVerb, ImageImportVerb, ImageListVerb, ImageRemoveVerb,
                               PlanVerb, ConfirmVerb, DownVerb>;

// Tells the waiting person what happens meanwhile. Thread safe.
class AdminProgress {
 public:
  virtual ~AdminProgress() = default;
  // Sends {"progress": step}; step is text or a map. Without effect when the client has gone.
  virtual void report(const Value& step) = 0;
  // True once the client has gone or the daemon stops: a long verb should end.
  virtual bool cancelled() const = 0;
};

// The verbs themselves; the daemon's wiring implements them. Called on the connection's thread, so
// several may run at once; a result is a JSON map that moorctl prints.
class AdminVerbs {
 public:
  virtual ~AdminVerbs() = default;
  // {revision, ready, sources:[{source, revision, error}]}
  virtual Result<Value> sync(const SyncVerb& verb, AdminProgress& progress) = 0;
  // {exitCode, output}. Errors: not_found (pod or container), conflict (does not run), timeout.
  virtual Result<Value> exec(const ExecVerb& verb, AdminProgress& progress) = 0;
  // {images:[{name, digest, size}]}
  virtual Result<Value> image_import(const ImageImportVerb& verb, AdminProgress& progress) = 0;
  // {images:[{name, digest, size, created}]}
  virtual Result<Value> image_list(const ImageListVerb& verb, AdminProgress& progress) = 0;
  // {removed:[names]}. Errors: not_found, conflict (a container uses it).
  virtual Result<Value> image_remove(const ImageRemoveVerb& verb, AdminProgress& progress) = 0;
  // {unit, revision, changes:[{object, verb, fields:[{path, before, after}]}], held, warnings}
  virtual Result<Value> plan(const PlanVerb& verb, AdminProgress& progress) = 0;
  // {revision}. Errors: not_found (nothing is held at it).
  virtual Result<Value> confirm(const ConfirmVerb& verb, AdminProgress& progress) = 0;
  // {pods: count}. Returns when everything is gone.
  virtual Result<Value> down(const DownVerb& verb, AdminProgress& progress) = 0;
};

// The word of a verb on the wire and in the audit chain: sync, exec, image-import, image-ls,
// image-rm, plan, confirm, down.
std::string admin_verb_name(const AdminVerb& verb);
// What it is asked of, for the audit chain: a pod with its command, a path, a revision.
std::string admin_verb_subject(const AdminVerb& verb);
// True when the verb acts on the machine: it is recorded before it runs as well as after. A
// confirmation is carried out by its record and has only that one.
bool admin_verb_acts(const AdminVerb& verb);
// True when the verb takes away what fills a disk: it goes on although nothing can be recorded.
bool admin_verb_makes_room(const AdminVerb& verb);
// Calls the member of verbs that carries the verb out.
Result<Value> dispatch(const AdminVerb& verb, AdminVerbs& verbs, AdminProgress& progress);

}  // namespace moored
