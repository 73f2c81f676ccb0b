# A module is a directory <name> with public headers under <name>/include and everything else under <name>/src. Private
# headers are included by their path from the root of the tree ("runtime/src/sched/park.h"); who may include which is
# cmake/check-layers.py's matter.

# weft_add_module(<name>): the static library weft_<name>, alias weft::<name>, of all sources under src/ except
# src/main/, which belongs to a program.
function(weft_add_module name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" src/*.cc src/*.S)
  list(FILTER sources EXCLUDE REGEX "^src/main/")
  add_library(weft_${name} STATIC ${sources})
  add_library(weft::${name} ALIAS weft_${name})
  # Position-independent, so that a shared object can link it (a plugin, a module of another language).
  set_target_properties(weft_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Else position-independent code inlines nothing that another shared object could define, too. Clang always inlines.
    target_compile_options(weft_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-semantic-interposition>)
  endif()
  target_compile_features(weft_${name} PUBLIC cxx_std_20)
  target_include_directories(
    weft_${name}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE "${weft_SOURCE_DIR}")
  install(TARGETS weft_${name} EXPORT weftTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
  install(
    DIRECTORY include/
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    COMPONENT development
    FILES_MATCHING
    PATTERN "*.h")
endfunction()

# weft_add_header_checks(<module>...): the target check-headers, which compiles each public header alone, twice
# included.
function(weft_add_header_checks)
  add_custom_target(check-headers)
  foreach(module IN LISTS ARGN)
    set(include_dir "${weft_SOURCE_DIR}/${module}/include")
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${include_dir}" "${include_dir}/*.h")
    # The one header for which the program brings Asio.
    if(NOT Asio_FOUND)
      list(REMOVE_ITEM headers weft/net/asio.h)
    endif()
    set(sources)
    foreach(header IN LISTS headers)
      string(REPLACE "/" "_" source "${header}.cc")
      set(source "${CMAKE_BINARY_DIR}/check-headers/${source}")
      file(CONFIGURE OUTPUT "${source}" CONTENT "#include <${header}>\n#include <${header}>\n")
      list(APPEND sources "${source}")
    endforeach()
    add_library(weft_${module}_headers OBJECT EXCLUDE_FROM_ALL ${sources})
    target_link_libraries(weft_${module}_headers PRIVATE weft::${module})
    target_compile_options(weft_${module}_headers PRIVATE -O0)
    # Programs of goroutines alone may be compiled without RTTI.
    if(module STREQUAL "runtime")
      target_compile_options(weft_${module}_headers PRIVATE -fno-rtti)
    elseif(module STREQUAL "net" AND Asio_FOUND)
      target_link_libraries(weft_${module}_headers PRIVATE Asio::Asio)
    endif()
    add_dependencies(check-headers weft_${module}_headers)
  endforeach()
endfunction()
