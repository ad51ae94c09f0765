#include "runtime/agent/pull_secrets.hpp"

#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::agent {
namespace {

// The text of the one key that the Secret's type calls for; nullptr when it is of no use.
const std::string* find_text(const Secret& secret) {
  const char* key = nullptr;
  if (secret.type == "kubernetes.io/dockerconfigjson") key = ".dockerconfigjson";
  if (secret.type == "kubernetes.io/dockercfg") key = ".dockercfg";
  const auto found = key == nullptr ? secret.data.end() : secret.data.find(key);
  return found == secret.data.end() ? nullptr : &found->second;
}

}  // namespace

PullSecrets read_pull_secrets(const Pod& pod, const StateView& view) {
  const auto& name_space = pod.metadata.namespace_name;
  std::vector<std::string> names;
  for (const auto& reference : pod.spec.image_pull_secrets) names.push_back(reference.name);
  const auto account_name =
      pod.spec.service_account_name.empty() ? "default" : pod.spec.service_account_name;
  const auto account =
      names.empty() ? view.find(key_of<ServiceAccount>(name_space, account_name)) : std::nullopt;
  if (account) {
    for (const auto& reference : account->as<ServiceAccount>().image_pull_secrets) {
      names.push_back(reference.name);
    }
  }
  PullSecrets out;
  for (const auto& name : names) {
    const auto secret = view.find(key_of<Secret>(name_space, name));
    const auto* text = secret ? find_text(secret->as<Secret>()) : nullptr;
    if (text == nullptr) {
      out.missing.push_back(name);
    } else {
      out.texts.push_back(*text);
    }
  }
  return out;
}

}  // namespace moored::agent
