# Includes cria in every documented way, and fails where the compiler warns.
# -Dcompiler= the compiler, -Dinclude= cria's headers, -Dsource= a program that uses cria.

set(warnings -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
set(ways
  "-std=c++20"
  "-std=c++2b -march=x86-64-v3 -fopenmp-simd -DCRIA_OPENMP_SIMD -fno-rtti"
)
list(TRANSFORM ways PREPEND "-fsyntax-only ")  # which takes a fraction of the time
# README's way, in which the optimiser of GCC warns, too.
set(readme "-std=c++20 -O3 -march=native -mprefer-vector-width=512 -ffp-contract=fast -fno-math-errno -fno-trapping-math \
-fopenmp -Wno-psabi")
if(compiler MATCHES "clang")
  list(APPEND ways "-fsyntax-only ${readme}")
else()
  list(APPEND ways "-c -o /dev/null ${readme}")
endif()
set(failures "")
foreach(way IN LISTS ways)
  separate_arguments(flags UNIX_COMMAND "${way}")
  execute_process(COMMAND ${compiler} ${flags} ${warnings} -I${include} ${source}
                  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(status EQUAL 0)
    message(STATUS "${compiler} ${way}: no warning")
  else()
    string(SUBSTRING "${output}" 0 2000 output)
    list(APPEND failures "${compiler} ${way}:\n${output}\n")
  endif()
endforeach()
if(failures)
  message(FATAL_ERROR ${failures})
endif()
