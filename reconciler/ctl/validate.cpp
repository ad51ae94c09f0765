// moorctl validate: the daemon's own loader on a directory, without a daemon.
#include "gitsync/load/disk.hpp"
#include "gitsync/load/loader.hpp"
#include "gitsync/render/plain.hpp"
#include "reconciler/ctl/commands.hpp"

namespace moored::ctl {
namespace {

// The place as the person can open it: behind the directory that was typed.
std::string place_below(const std::string& directory, const std::string& file) {
  if (file.empty() || directory == "." || directory == "./") return file;
  return directory.back() == '/' ? directory + file : directory + '/' + file;
}

Value error_value(const Error& error, const std::string& directory) {
  Value value = Value::make_map();
  value.put("reason", Value::of_text(error.reason));
  value.put("message", Value::of_text(error.message));
  value.put("file", Value::of_text(place_below(directory, error.place.file)));
  value.put("line", Value::of_integer(error.place.line));
  value.put("column", Value::of_integer(error.place.column));
  value.put("field", Value::of_text(error.place.field));
  value.put("fix", Value::of_text(error.fix));
  return value;
}

Value errors_value(const std::vector<Error>& errors, const std::string& directory) {
  Value list = Value::make_list();
  for (const auto& error : errors) list.items.push_back(error_value(error, directory));
  return list;
}

}  // namespace

// The very same loader, so that what passes here passes in the daemon.
Result<Value> validate_directory(const ValidateCommand& command) {
  MOORED_TRY(git::ManifestSet manifests, git::list_directory_manifests(command.directory));
  git::check_plain(manifests.kustomizations, manifests.diagnostics);
  git::DirectoryReader reader(command.directory);
  git::ManifestLoader loader;
  git::LoadOptions options;
  options.target_namespace = command.target_namespace;
  // The namespaces' own levels are the operator's and not known here.
  options.policy.default_level = command.level;
  MOORED_TRY(const git::LoadedSet set,
             loader.load(manifests, reader, options, SystemClock{}));
  std::size_t objects = 0;
  for (const auto& file : set.files) objects += file->objects.size();
  Value result = Value::make_map();
  result.put("valid", Value::of_boolean(set.complete));
  result.put("files", Value::of_integer(static_cast<std::int64_t>(set.files.size())));
  result.put("objects", Value::of_integer(static_cast<std::int64_t>(objects)));
  result.put("errors", errors_value(set.diagnostics.errors(), command.directory));
  result.put("warnings", errors_value(set.diagnostics.warnings(), command.directory));
  const auto all = static_cast<std::int64_t>(set.diagnostics.error_count());
  result.put("errorCount", Value::of_integer(all));
  return result;
}

}  // namespace moored::ctl
