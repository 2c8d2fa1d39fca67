# How Open MPI starts processes in the tests.

set(ENV{OMPI_ALLOW_RUN_AS_ROOT} 1)
set(ENV{OMPI_ALLOW_RUN_AS_ROOT_CONFIRM} 1)
# More processes than cores, all on this machine, which talk by memory and need no ssh.
set(ENV{OMPI_MCA_rmaps_base_oversubscribe} 1)
set(ENV{OMPI_MCA_mpi_yield_when_idle} 1)
set(ENV{OMPI_MCA_plm} isolated)
set(ENV{OMPI_MCA_pml} ob1)
set(ENV{OMPI_MCA_btl} self,vader)
set(ENV{OMPI_MCA_btl_vader_single_copy_mechanism} none)
set(ENV{OMPI_MCA_hwloc_base_binding_policy} none)

# A machine without any network has no MPI.
execute_process(COMMAND ${mpirun} -n 2 true RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE errors TIMEOUT 60)
if(NOT status EQUAL 0)
  message("skipped: mpirun starts no processes here: ${errors}")
endif()
set(mpirun_status ${status})
