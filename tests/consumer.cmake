# cria as a user gets it: installed, as a folder of a project, or headers on the include path; and each header alone.

set(prefix ${CMAKE_BINARY_DIR}/consumer_prefix)

# The test `name`: configures tests/consumer with the given arguments, builds and runs it.
function(add_consumer_test name from)
  add_test(NAME ${name} COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${CMAKE_BINARY_DIR}/consumer_${from}
    --build-generator ${CMAKE_GENERATOR}
    --build-options -Dfrom=${from} -Dcria_source=${PROJECT_SOURCE_DIR} -DCMAKE_PREFIX_PATH=${prefix}
                    -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DCMAKE_BUILD_TYPE=Debug
    --test-command ${CMAKE_BINARY_DIR}/consumer_${from}/consumer)
  set_tests_properties(${name} PROPERTIES TIMEOUT 900)
endfunction()

add_test(NAME consumer.install COMMAND ${CMAKE_COMMAND} --install ${CMAKE_BINARY_DIR} --prefix ${prefix})
set_tests_properties(consumer.install PROPERTIES FIXTURES_SETUP installed)

add_consumer_test(consumer.find_package find_package)
set_tests_properties(consumer.find_package PROPERTIES FIXTURES_REQUIRED installed)

add_consumer_test(consumer.add_subdirectory add_subdirectory)
add_consumer_test(consumer.include_path include_path)

# A component that there is not is refused with this sentence. (CMake breaks it into lines.)
if(NOT CRIA_CUDA STREQUAL ON)
  add_consumer_test(consumer.missing_component missing_component)
  set_tests_properties(consumer.missing_component PROPERTIES FIXTURES_REQUIRED installed
    PASS_REGULAR_EXPRESSION
    "cria has no component 'cuda' in this installation; there are cpu and, where[ \n]+nlohmann_json and ZLIB were found when it was installed, io")
endif()

add_test(NAME headers.compile_alone COMMAND ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR}
  --target cria_cpu_verify_interface_header_sets cria_io_verify_interface_header_sets)
set_tests_properties(headers.compile_alone PROPERTIES TIMEOUT 900 RUN_SERIAL ON)
