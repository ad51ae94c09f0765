# Where everything goes on a Debian 12 machine, and the .deb made of it:
#   cmake --workflow --preset package     builds a release and puts the package into build/release
#   cpack --config build/dev/CPackConfig.cmake -B DIRECTORY    the same from another build
set(package_dir ${CMAKE_CURRENT_LIST_DIR})
set(package_doc share/doc/moored)

install(TARGETS moored DESTINATION sbin)
install(TARGETS moorctl DESTINATION bin)
install(TARGETS moored-git moored-probe moored-pull moored-shim moored-unpack DESTINATION libexec/moored)
install(PROGRAMS ${package_dir}/hold-pods ${package_dir}/end-pods ${package_dir}/clear-machine
  DESTINATION libexec/moored)
install(DIRECTORY DESTINATION /etc/moored)
# systemd of Debian 12 is told of units in /lib; everything else is below /usr.
set(MOORED_UNIT_DIR /lib/systemd/system CACHE PATH "Where systemd's units are installed")
install(FILES ${package_dir}/moored.service ${package_dir}/moored-pods.service
  DESTINATION ${MOORED_UNIT_DIR})
install(FILES ${package_dir}/moored.sysusers DESTINATION lib/sysusers.d RENAME moored.conf)
install(FILES ${package_dir}/moorctl.bash
  DESTINATION share/bash-completion/completions RENAME moorctl)
install(FILES ${package_dir}/moored.yaml DESTINATION ${package_doc}/examples)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples/guestbook DESTINATION ${package_doc}/examples
  USE_SOURCE_PERMISSIONS)
install(FILES ${package_dir}/deb/copyright DESTINATION ${package_doc})
install(FILES ${package_dir}/deb/lintian-overrides
  DESTINATION share/lintian/overrides RENAME moored)

# Debian wants manual pages and changelogs compressed, and without a time of their own.
set(compressed_dir ${CMAKE_BINARY_DIR}/compressed)
function(install_compressed source name destination)
  set(out ${compressed_dir}/${name}.gz)
  add_custom_command(OUTPUT ${out} DEPENDS ${source} VERBATIM
    COMMAND ${CMAKE_COMMAND} -E make_directory ${compressed_dir}
    COMMAND sh -c "gzip -9nc '${source}' >'${out}'")
  set_property(GLOBAL APPEND PROPERTY MOORED_COMPRESSED ${out})
  install(FILES ${out} DESTINATION ${destination})
endfunction()
install_compressed(${package_dir}/moored.8 moored.8 share/man/man8)
install_compressed(${package_dir}/moorctl.1 moorctl.1 share/man/man1)
install_compressed(${package_dir}/moored.yaml.5 moored.yaml.5 share/man/man5)
install_compressed(${package_dir}/deb/changelog changelog.Debian ${package_doc})
install_compressed(${CMAKE_SOURCE_DIR}/CHANGELOG.md changelog ${package_doc})
install_compressed(${CMAKE_SOURCE_DIR}/docs/operations.md operations.md ${package_doc})
get_property(compressed GLOBAL PROPERTY MOORED_COMPRESSED)
add_custom_target(moored_compressed ALL DEPENDS ${compressed})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME moored)
set(CPACK_PACKAGE_CONTACT "The moored authors <moored@localhost.localdomain>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "git push to deploy with Kubernetes manifests, on one machine")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"moored keeps a machine moored to Git: it pulls a repository of Kubernetes
manifests, runs their pods with a container runtime, pod network and Services
of its own, and puts right what drifts. It is read with kubectl and moorctl,
and changed by pushing.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)  # one unit directory is outside of the prefix
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS
  "nftables, iproute2, init-system-helpers (>= 1.54~), systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, kubernetes-client")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "git")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${package_dir}/deb/postinst ${package_dir}/deb/prerm ${package_dir}/deb/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
