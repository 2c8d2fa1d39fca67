# Fails for a header that needs what it does not include. Headers are read in chains, one after the other in one run of the
# compiler, which needs most of its time for the standard library: each includes the one before it, which thereby supplies
# nothing that it would not have by itself.
# -Dcompiler= the compiler, -Dinclude= cria's headers, -Deigen= Eigen's, -Dheaders= the list.

cmake_minimum_required(VERSION 3.25)

set(compile ${compiler} -std=c++20 -fopenmp -I${include} -isystem ${eigen} -x c++)

# What each header includes of cria's, with all that those include; the standard library is named but not read.
set(by_number "")
foreach(header IN LISTS headers)
  execute_process(COMMAND ${compile} -nostdinc -MM -MG ${header} RESULT_VARIABLE status OUTPUT_VARIABLE files ERROR_VARIABLE error)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${header}:\n${error}")
  endif()
  string(REGEX MATCHALL "[^ \\\n]+" files "${files}")
  list(LENGTH files number)
  list(APPEND by_number "${number} ${header}")
  set(included_by_${header} ${files})
endforeach()
list(SORT by_number COMPARE NATURAL)

# The one with the fewest files comes first, and each goes to the chain whose last has the most.
set(chains "")
foreach(entry IN LISTS by_number)
  string(REGEX REPLACE "^[0-9]+ " "" header "${entry}")
  set(longest "")
  foreach(last IN LISTS chains)
    if(last IN_LIST included_by_${header})
      set(longest ${last})
    endif()
  endforeach()
  list(REMOVE_ITEM chains "${longest}")
  list(APPEND chains ${header})  # which therefore are in the order of their last's files
  set(chain_${header} ${chain_${longest}} -include ${header})
endforeach()

set(failures "")
foreach(last IN LISTS chains)
  execute_process(COMMAND ${compile} -fsyntax-only ${chain_${last}} /dev/null
                  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    string(SUBSTRING "${output}" 0 2000 output)
    list(APPEND failures "${last}:\n${output}\n")
  endif()
endforeach()
list(LENGTH headers count)
list(LENGTH chains runs)
if(count EQUAL 0)
  message(FATAL_ERROR "no header was given")
endif()
if(failures)
  message(FATAL_ERROR ${failures})
endif()
message(STATUS "${count} headers compile alone, in ${runs} chains")
