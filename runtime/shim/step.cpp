#include "runtime/shim/step.hpp"

#include <array>
#include <string_view>

#include "schema/base/assert.hpp"

namespace moored::shim {
namespace {

struct Name {
  StepType type;
  const char* word;
};
constexpr std::array<Name, 25> kNames{{{StepType::session, "session"},
                                       {StepType::private_mounts, "private-mounts"},
                                       {StepType::overlay_root, "overlay-root"},
                                       {StepType::mount, "mount"},
                                       {StepType::bind, "bind"},
                                       {StepType::own_volume, "own-volume"},
                                       {StepType::devices, "devices"},
                                       {StepType::console, "console"},
                                       {StepType::cgroup_view, "cgroup-view"},
                                       {StepType::mask, "mask"},
                                       {StepType::read_only, "read-only"},
                                       {StepType::pivot, "pivot"},
                                       {StepType::read_only_root, "read-only-root"},
                                       {StepType::working_directory, "working-directory"},
                                       {StepType::limits, "limits"},
                                       {StepType::bounding, "bounding"},
                                       {StepType::seccomp_early, "seccomp-early"},
                                       {StepType::ids, "ids"},
                                       {StepType::capabilities, "capabilities"},
                                       {StepType::no_new_privileges, "no-new-privileges"},
                                       {StepType::ready, "ready"},
                                       {StepType::seccomp, "seccomp"},
                                       {StepType::environment, "environment"},
                                       {StepType::execute, "execute"},
                                       {StepType::pause, "pause"}}};

}  // namespace

const char* step_name(StepType type) {
  const auto index = static_cast<std::size_t>(type);
  MOORED_ASSERT(index < kNames.size() && kNames[index].type == type);
  return kNames[index].word;
}

// Without splitting: most steps have one or two.
bool Step::has_option(const std::string& word) const {
  std::string_view rest = options;
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    if (rest.substr(0, comma) == word) return true;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return false;
}

Record to_record(const Step& step) {
  Record record;
  record.set("step", step_name(step.type));
  record.set("target", step.target).set("source", step.source).set("subPath", step.sub_path);
  record.set("options", step.options).set("list", step.list);
  record.set("number", static_cast<std::int64_t>(step.number));
  record.set("second", static_cast<std::int64_t>(step.second));
  return record;
}

// A step that is left out could be the one that takes rights away.
Result<Step> step_from(const Record& record) {
  Step step;
  const auto& word = record.text_of("step");
  const Name* found = nullptr;
  for (const auto& name : kNames) {
    if (name.word == word) found = &name;
  }
  if (found == nullptr) return fail(Code::corrupt, "unknown step \"" + word + "\"");
  step.type = found->type;
  step.target = record.text_of("target");
  step.source = record.text_of("source");
  step.sub_path = record.text_of("subPath");
  step.options = record.text_of("options");
  step.list = record.list_of("list");
  step.number = static_cast<std::uint64_t>(record.number_of("number"));
  step.second = static_cast<std::uint64_t>(record.number_of("second"));
  return step;
}

}  // namespace moored::shim
