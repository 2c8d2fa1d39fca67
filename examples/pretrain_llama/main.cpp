// Pretrains a Llama: `prepare` makes tokens of text, `train` trains, `generate` and `serve` write, `eval`
// measures.
//
//   pretrain_llama prepare --data_dir=data
//   pretrain_llama train --config=configs/tiny.toml --data_dir=data --out_dir=output
//   pretrain_llama generate --checkpoint=output/best --prompt="Once upon a time"
//
// run.sh beside this file does all three; the last line of train says where checkpoints and metrics are.

#include "command_line.hpp"

int main(int argc, char** argv) {
  return pretrain::run_command_line({argv + 1, argv + argc});
}
