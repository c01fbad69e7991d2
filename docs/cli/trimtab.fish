# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_trimtab_global_optspecs
    string join \n q/quiet no-progress h/help V/version
end

function __fish_trimtab_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_trimtab_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_trimtab_using_subcommand
    set -l cmd (__fish_trimtab_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c trimtab -n "__fish_trimtab_needs_command" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_needs_command" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_needs_command" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_needs_command" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "run" -d 'One simulation: a table, or one JSON document with `--json`'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "sweep" -d 'Every cell of a spec: a table, stored results'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "capacity" -d 'The highest rate that meets the objectives, per scheduler'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "merge" -d 'Put the parts of a sharded run together'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "diff" -d 'Whether two results folders say the same'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "check" -d 'What a spec would run and cost; runs nothing'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "schema" -d 'The JSON Schema of specs, for editors'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "plot" -d 'Figures from stored results'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "report" -d 'Stored results as one HTML file, for people'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "timeline" -d 'A window of one simulation for Perfetto, event by event'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "render" -d 'Pages whose numbers come from result files'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "trace" -d 'Look at traces'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "cache" -d 'Replay only the caches: policies by capacities, no timing'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "list" -d 'What there is to choose from'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "fuzz" -d 'Random scenarios with every invariant asserted'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "explain" -d 'Everything about one scheduler, workload, policy, model or card'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "calibrate" -d 'Fit the step cost to measured steps, or hold it against a measured server'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "completions" -d 'What a shell needs to complete this command line'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "man" -d 'Manual pages'
complete -c trimtab -n "__fish_trimtab_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l cell -d 'Which cell: the beginning of its id (see `trimtab check --cells`); needless if there is one only' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l trace -d 'Trace file to replay; the format is sniffed' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l format -d 'Force the trace format (see `trimtab list formats`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l workload -d 'Generated workload (see `trimtab list workloads`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l scheduler -d 'Scheduler (see `trimtab list schedulers`) [default: round-robin]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l instances -d 'Instances [default: 8]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l rate -d 'Rescale the arrival clock to this many requests per second' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l speedup -d 'Divide arrival times by this' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l arrivals -d 'Arrival process instead of the recorded times: poisson, constant, gamma:CV, weibull:CV, or JSON such as \'{"states":{"rates":[0.2,1.8],"stay_s":60}}\' (see docs/workloads.md)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l jitter-s -d 'Move each arrival later by up to this, seeded: spreads the ticks of a coarse clock' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l keep-sessions -d 'Keep each session with this probability, seeded' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l start -d 'Begin at this time of the trace, which becomes 0' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l duration -d 'The requests of this many seconds' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l trace-block -d 'Tokens of one block id of the trace, when they are not those of its format' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l zero-output -d 'Requests without output: drop, or one (token, which is what a prefill yields) [default: drop]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l max-dropped -d 'The share of rows that may be skipped, instead of 0.01' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l tenants -d 'So many tenants, the r-th with a rate in proportion to r^-SKEW' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l users -d 'So many users, one request at a time each, instead of arrival times' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l think-s -d 'Seconds between an answer and the next request, where the workload does not say them' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l model -d 'Model: catalogue name, TOML file or Hugging Face config.json [default: qwen2.5-7b]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l hardware -d 'Hardware: catalogue name or TOML file [default: h100]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l tp -d 'GPUs per instance (tensor parallel) [default: 1]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l weights -d 'Storage type of the weights: bf16 or fp8' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l kv-tokens -d 'KV cache per instance in tokens, instead of what fits' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l block-tokens -d 'Tokens of a KV block [default: 16]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l max-batched-tokens -d 'Token budget of a step [default: 8192]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l max-seqs -d 'Sequence limit of a step [default: 256]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l mixing -d 'decode-first or prefill-first [default: decode-first]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l order -d 'Admission order: fcfs, longest-prefix or preble [default: fcfs]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l watermark -d 'Share of KV blocks that admission leaves free [default: 0.0]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l eviction -d 'Which cached block goes first [default: lru]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l cache-visible -d 'When a block can be hit: computed or scheduled [default: computed]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l generated -d 'Generated blocks that nothing can name: free or keep [default: free]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l cost -d 'Step cost: analytic, polynomial, or a table such as \'{kind = "analytic", profile = "fitted"}\' [default: analytic]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l slo-ttft -d 'TTFT objective' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l slo-tpot -d 'TPOT objective' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l slo-e2e -d 'End-to-end objective' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l warmup-requests -d 'Leave the first N requests out of the statistics [default: 0]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l max-input-tokens -d 'Cut prompts to N tokens, keeping the head' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l limit -d 'The first N requests' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l seed -d 'Seed of every random stream [default: 1]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l param -d 'Scheduler parameter (see `trimtab explain`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l workload-param -d 'Parameter of the generated workload' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l eviction-param -d 'Parameter of the eviction policy (see `trimtab explain eviction NAME`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l set -d 'Any value by its dotted path, such as signals.refresh_ms=50 (of the spec, if there is one)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l stepping -d 'macro or every: how time advances; the results are the same' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l requests-out -d 'One row per request: .csv or .parquet' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l decisions-out -d 'One row per decision: .csv or .parquet' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l load-out -d 'One row per instance and 10 s: .csv or .parquet' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l jitter-ticks -d 'Spread arrivals that share a time up to the next time, seeded'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l lenient -d 'Skip and count faulty rows, up to 1 % of them'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l strict-order -d 'Refuse times that decrease, instead of sorting'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l closed-loop -d 'A turn of a session waits for the end of the turn before it'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l no-prefix-cache -d 'Reuse nothing'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l partial-tail -d 'Reuse the final partial block of a prompt too'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l json -d 'One JSON document'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l regret -d 'Try every instance for each decision, to tell what would have been best; slow'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand run" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -s o -l out -d 'Results folder; `results/NAME` of the spec when not given, where finished cells are kept' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -s j -l jobs -d 'Cells at a time; as many as there are processors when not given' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -l shard -d 'Run only part i of n, to be merged later' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -l set -d 'Change a value of the spec' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -l resume -d 'Keep finished cells of the results folder and run the others'
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -l force -d 'Discard what is in the results folder'
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand sweep" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -s o -l out -d 'Results folder; `results/NAME` of the spec when not given, where finished cells are kept' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -s j -l jobs -d 'Cells at a time; as many as there are processors when not given' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -l shard -d 'Run only part i of n, to be merged later' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -l set -d 'Change a value of the spec' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -l resume -d 'Keep finished cells of the results folder and run the others'
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -l force -d 'Discard what is in the results folder'
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand capacity" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand merge" -s o -l out -d 'Results folder; `results/NAME` of the spec when not given, where finished cells are kept' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand merge" -s j -l jobs -d 'Cells at a time; as many as there are processors when not given' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand merge" -l resume -d 'Keep finished cells of the results folder and run the others'
complete -c trimtab -n "__fish_trimtab_using_subcommand merge" -l force -d 'Discard what is in the results folder'
complete -c trimtab -n "__fish_trimtab_using_subcommand merge" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand merge" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand merge" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand merge" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand diff" -l tolerance -d 'How far numbers may be apart, as a share of the larger' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand diff" -l json -d 'One JSON document'
complete -c trimtab -n "__fish_trimtab_using_subcommand diff" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand diff" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand diff" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand diff" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -l set -d 'Change a value of the spec' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -s j -l jobs -d 'Cells at a time, for the estimate; as many as there are processors when not given' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -l cells -d 'Every cell with its id'
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -l print-plan -d 'The plan as JSON: everything resolved, defaults filled in'
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -l json -d 'One JSON document'
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand check" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand schema" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand schema" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand schema" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand schema" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -l figure -d 'One kind of figure (see `trimtab list figures`); all that the results allow when not given' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -s f -l formats -d 'svg, pdf, png' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -l theme -d 'paper, paper-wide, slide, or a TOML file' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -s o -l out -d 'Where they go; `plots` in the results folder when not given' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -l list -d 'Draw nothing: say which figures the results allow, and what the others lack'
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand plot" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand report" -s o -l out -d 'The HTML file; `report.html` in the results folder when not given' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand report" -l theme -d 'A TOML file with looks of schedulers, as for `trimtab plot`' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand report" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand report" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand report" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand report" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l cell -d 'Which cell: the beginning of its id (see `trimtab check --cells`); needless if there is one only' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l trace -d 'Trace file to replay; the format is sniffed' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l format -d 'Force the trace format (see `trimtab list formats`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l workload -d 'Generated workload (see `trimtab list workloads`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l scheduler -d 'Scheduler (see `trimtab list schedulers`) [default: round-robin]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l instances -d 'Instances [default: 8]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l rate -d 'Rescale the arrival clock to this many requests per second' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l speedup -d 'Divide arrival times by this' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l arrivals -d 'Arrival process instead of the recorded times: poisson, constant, gamma:CV, weibull:CV, or JSON such as \'{"states":{"rates":[0.2,1.8],"stay_s":60}}\' (see docs/workloads.md)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l jitter-s -d 'Move each arrival later by up to this, seeded: spreads the ticks of a coarse clock' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l keep-sessions -d 'Keep each session with this probability, seeded' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l start -d 'Begin at this time of the trace, which becomes 0' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l duration -d 'The requests of this many seconds' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l trace-block -d 'Tokens of one block id of the trace, when they are not those of its format' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l zero-output -d 'Requests without output: drop, or one (token, which is what a prefill yields) [default: drop]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l max-dropped -d 'The share of rows that may be skipped, instead of 0.01' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l tenants -d 'So many tenants, the r-th with a rate in proportion to r^-SKEW' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l users -d 'So many users, one request at a time each, instead of arrival times' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l think-s -d 'Seconds between an answer and the next request, where the workload does not say them' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l model -d 'Model: catalogue name, TOML file or Hugging Face config.json [default: qwen2.5-7b]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l hardware -d 'Hardware: catalogue name or TOML file [default: h100]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l tp -d 'GPUs per instance (tensor parallel) [default: 1]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l weights -d 'Storage type of the weights: bf16 or fp8' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l kv-tokens -d 'KV cache per instance in tokens, instead of what fits' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l block-tokens -d 'Tokens of a KV block [default: 16]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l max-batched-tokens -d 'Token budget of a step [default: 8192]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l max-seqs -d 'Sequence limit of a step [default: 256]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l mixing -d 'decode-first or prefill-first [default: decode-first]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l order -d 'Admission order: fcfs, longest-prefix or preble [default: fcfs]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l watermark -d 'Share of KV blocks that admission leaves free [default: 0.0]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l eviction -d 'Which cached block goes first [default: lru]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l cache-visible -d 'When a block can be hit: computed or scheduled [default: computed]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l generated -d 'Generated blocks that nothing can name: free or keep [default: free]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l cost -d 'Step cost: analytic, polynomial, or a table such as \'{kind = "analytic", profile = "fitted"}\' [default: analytic]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l slo-ttft -d 'TTFT objective' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l slo-tpot -d 'TPOT objective' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l slo-e2e -d 'End-to-end objective' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l warmup-requests -d 'Leave the first N requests out of the statistics [default: 0]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l max-input-tokens -d 'Cut prompts to N tokens, keeping the head' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l limit -d 'The first N requests' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l seed -d 'Seed of every random stream [default: 1]' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l param -d 'Scheduler parameter (see `trimtab explain`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l workload-param -d 'Parameter of the generated workload' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l eviction-param -d 'Parameter of the eviction policy (see `trimtab explain eviction NAME`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l set -d 'Any value by its dotted path, such as signals.refresh_ms=50 (of the spec, if there is one)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l from-s -d 'When the window begins, in seconds of simulated time' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l to-s -d 'When it ends' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l max-events -d 'More events than this are refused: a viewer would not open them' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -s o -l out -d 'The file: .json or .json.gz, for ui.perfetto.dev or chrome://tracing' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l jitter-ticks -d 'Spread arrivals that share a time up to the next time, seeded'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l lenient -d 'Skip and count faulty rows, up to 1 % of them'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l strict-order -d 'Refuse times that decrease, instead of sorting'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l closed-loop -d 'A turn of a session waits for the end of the turn before it'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l no-prefix-cache -d 'Reuse nothing'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l partial-tail -d 'Reuse the final partial block of a prompt too'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand timeline" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand render" -l results -d 'The folder of the result files' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand render" -s o -l out -d 'Where the pages go' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand render" -l check -d 'Writes nothing, and fails if a page is not what it would be'
complete -c trimtab -n "__fish_trimtab_using_subcommand render" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand render" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand render" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand render" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -f -a "stats" -d 'Rows, lengths, burstiness, sharing, hit ratios of every cache size'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -f -a "validate" -d 'Read it all and say what is wrong with it'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -f -a "convert" -d 'Write it in the canonical form: JSON lines, compressed if the name ends in .zst or .gz; Parquet for .parquet'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -f -a "generate" -d 'Write a generated workload in the same form'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -f -a "keys" -d 'How long the adaptive keys of DualMap become: shares of requests by blocks of their key, as CSV'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and not __fish_seen_subcommand_from stats validate convert generate keys help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l format -d 'Force the trace format (see `trimtab list formats`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l max-input-tokens -d 'Cut prompts to N tokens, keeping the head' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l start -d 'Begin at this time of the trace, which becomes 0' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l trace-block -d 'Tokens of one block id of the trace, when they are not those of its format' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l zero-output -d 'Requests without output: drop, or one (token, which is what a prefill yields)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l max-dropped -d 'The share of rows that may be skipped, instead of 0.01' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l limit -d 'The first N requests' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l duration -d 'The requests of this many seconds' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l capacities -d 'Cache sizes, in blocks, at which the LRU hit ratio is told' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l block-tokens -d 'Tokens of a block, instead of the trace\'s own' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l plot -d 'Draw LRU hit ratios, popularity and reuse into this file (.svg, .pdf or .png), the points beside it as CSV' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l theme -d 'Theme of the figure: paper, paper-wide, slide, or a TOML file' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l lenient -d 'Skip and count faulty rows, up to 1 % of them'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l strict-order -d 'Refuse times that decrease, instead of sorting'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l partial-tail -d 'Count the final partial block of a prompt too'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l json -d 'One JSON document'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from stats" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l format -d 'Force the trace format (see `trimtab list formats`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l max-input-tokens -d 'Cut prompts to N tokens, keeping the head' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l start -d 'Begin at this time of the trace, which becomes 0' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l trace-block -d 'Tokens of one block id of the trace, when they are not those of its format' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l zero-output -d 'Requests without output: drop, or one (token, which is what a prefill yields)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l max-dropped -d 'The share of rows that may be skipped, instead of 0.01' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l limit -d 'The first N requests' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l duration -d 'The requests of this many seconds' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l lenient -d 'Skip and count faulty rows, up to 1 % of them'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l strict-order -d 'Refuse times that decrease, instead of sorting'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from validate" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l format -d 'Force the trace format (see `trimtab list formats`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l max-input-tokens -d 'Cut prompts to N tokens, keeping the head' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l start -d 'Begin at this time of the trace, which becomes 0' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l trace-block -d 'Tokens of one block id of the trace, when they are not those of its format' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l zero-output -d 'Requests without output: drop, or one (token, which is what a prefill yields)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l max-dropped -d 'The share of rows that may be skipped, instead of 0.01' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l limit -d 'The first N requests' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l duration -d 'The requests of this many seconds' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l rate -d 'Rescale the arrival clock to this many requests per second' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l speedup -d 'Divide arrival times by this' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l arrivals -d 'Arrival process instead of the recorded times: poisson, constant, gamma:CV, weibull:CV, or JSON such as \'{"states":{"rates":[0.2,1.8],"stay_s":60}}\' (see docs/workloads.md)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l jitter-s -d 'Move each arrival later by up to this, seeded: spreads the ticks of a coarse clock' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l keep-sessions -d 'Keep each session with this probability, seeded' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l seed -d 'Seed of every random stream' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -s o -l out -d 'Where it goes; what it becomes is told from the end of the name' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l lenient -d 'Skip and count faulty rows, up to 1 % of them'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l strict-order -d 'Refuse times that decrease, instead of sorting'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l jitter-ticks -d 'Spread arrivals that share a time up to the next time, seeded'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from convert" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l param -d 'Parameter of the generator (see `trimtab explain`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l tenants -d 'So many tenants, the r-th with a rate in proportion to r^-SKEW' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l limit -d 'The first N requests' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l duration -d 'The requests of this many seconds' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l rate -d 'Rescale the arrival clock to this many requests per second' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l speedup -d 'Divide arrival times by this' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l arrivals -d 'Arrival process instead of the recorded times: poisson, constant, gamma:CV, weibull:CV, or JSON such as \'{"states":{"rates":[0.2,1.8],"stay_s":60}}\' (see docs/workloads.md)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l jitter-s -d 'Move each arrival later by up to this, seeded: spreads the ticks of a coarse clock' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l keep-sessions -d 'Keep each session with this probability, seeded' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l seed -d 'Seed of every random stream' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -s o -l out -d 'Where it goes; what it becomes is told from the end of the name' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l jitter-ticks -d 'Spread arrivals that share a time up to the next time, seeded'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from generate" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l format -d 'Force the trace format (see `trimtab list formats`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l max-input-tokens -d 'Cut prompts to N tokens, keeping the head' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l start -d 'Begin at this time of the trace, which becomes 0' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l trace-block -d 'Tokens of one block id of the trace, when they are not those of its format' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l zero-output -d 'Requests without output: drop, or one (token, which is what a prefill yields)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l max-dropped -d 'The share of rows that may be skipped, instead of 0.01' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l limit -d 'The first N requests' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l duration -d 'The requests of this many seconds' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l workload -d 'Generated workload instead of a trace' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l instances -d 'Members of the cluster: a prefix with more than 2/N of the recent requests gets longer keys' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l window -d 'Recent requests that shares are taken over' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l warmup-requests -d 'Requests that are not counted' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l seeds -d 'Seeds of the generator; shares are means over them' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l lenient -d 'Skip and count faulty rows, up to 1 % of them'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l strict-order -d 'Refuse times that decrease, instead of sorting'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from keys" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "stats" -d 'Rows, lengths, burstiness, sharing, hit ratios of every cache size'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "validate" -d 'Read it all and say what is wrong with it'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "convert" -d 'Write it in the canonical form: JSON lines, compressed if the name ends in .zst or .gz; Parquet for .parquet'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "generate" -d 'Write a generated workload in the same form'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "keys" -d 'How long the adaptive keys of DualMap become: shares of requests by blocks of their key, as CSV'
complete -c trimtab -n "__fish_trimtab_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l format -d 'Force the trace format (see `trimtab list formats`)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l max-input-tokens -d 'Cut prompts to N tokens, keeping the head' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l start -d 'Begin at this time of the trace, which becomes 0' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l trace-block -d 'Tokens of one block id of the trace, when they are not those of its format' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l zero-output -d 'Requests without output: drop, or one (token, which is what a prefill yields)' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l max-dropped -d 'The share of rows that may be skipped, instead of 0.01' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l limit -d 'The first N requests' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l duration -d 'The requests of this many seconds' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l workload -d 'Generated workload instead of a trace' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l workload-param -d 'Parameter of the generated workload' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l policy -d 'Eviction policies (see `trimtab list evictions`), or `all`' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l policy-param -d 'Parameter of a policy' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l capacities -d 'Blocks of each cache' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l block-tokens -d 'Tokens of a block; the trace\'s own when not given, 16 for generated workloads' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l instances -d 'How many caches' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l router -d 'Which cache a request goes to: round-robin, session or prefix' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l seed -d 'Seed of every random stream' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l plot -d 'Draw the miss ratios (.svg, .pdf or .png), the points drawn as CSV beside it' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l lenient -d 'Skip and count faulty rows, up to 1 % of them'
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l strict-order -d 'Refuse times that decrease, instead of sorting'
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l partial-tail -d 'Cache and match the final partial block of a prompt too'
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l json -d 'One JSON array'
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand cache" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand list" -l json -d 'One JSON array of objects with `name` and `summary`'
complete -c trimtab -n "__fish_trimtab_using_subcommand list" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand list" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand list" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand list" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand fuzz" -l seed -d 'Seed of the first case' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand fuzz" -l cases -d 'How many cases' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand fuzz" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand fuzz" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand fuzz" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand fuzz" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -l hardware -d 'For a model: the card it runs on' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -l model -d 'For a card: the model that runs on it' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -l tp -d 'GPUs per instance' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -l block-tokens -d 'Tokens of a KV block' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -l max-batched-tokens -d 'Token budget of a step' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand explain" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l hardware -d 'Keep the rows of this hardware, or say what it is' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l engine -d 'Keep the rows of this engine, or say what it is' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l model -d 'Keep the rows of this model, or say what it is' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l tp -d 'Tensor-parallel degree, when the rows do not say it' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -s o -l out -d 'Where the fitted profile goes (TOML)' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l holdout -d 'Measured steps that the fit must not see (CSV)' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l residuals-out -d 'Where measured, predicted and relative error of every row go (CSV)' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l plot -d 'Where a figure goes (.svg, .pdf or .png): the error of every step, or the measured server beside its simulation' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l requests -d 'Measured requests of a real server (CSV), replayed and compared' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l profile -d 'Fitted profile to replay with; the defaults otherwise' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l kv-blocks -d 'KV blocks of the measured server' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l block-tokens -d 'Tokens of a KV block of the measured server' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l max-batched-tokens -d 'Token budget of a step of the measured server' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l max-seqs -d 'Sequence limit of the measured server' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l api-ms -d 'Milliseconds that a request spends outside the engine before its first token' -r
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l fit-host -d 'Fit the host overhead of a step on this very run'
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l json -d 'One JSON document'
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand calibrate" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand completions" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand completions" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand completions" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand completions" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand man" -s o -l out -d 'Write one page for each verb into this folder, instead of the main page to stdout' -r -F
complete -c trimtab -n "__fish_trimtab_using_subcommand man" -s q -l quiet -d 'Print less: no progress, no notes'
complete -c trimtab -n "__fish_trimtab_using_subcommand man" -l no-progress -d 'Never draw a progress line'
complete -c trimtab -n "__fish_trimtab_using_subcommand man" -s h -l help -d 'Print help'
complete -c trimtab -n "__fish_trimtab_using_subcommand man" -s V -l version -d 'Print version'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "run" -d 'One simulation: a table, or one JSON document with `--json`'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "sweep" -d 'Every cell of a spec: a table, stored results'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "capacity" -d 'The highest rate that meets the objectives, per scheduler'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "merge" -d 'Put the parts of a sharded run together'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "diff" -d 'Whether two results folders say the same'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "check" -d 'What a spec would run and cost; runs nothing'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "schema" -d 'The JSON Schema of specs, for editors'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "plot" -d 'Figures from stored results'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "report" -d 'Stored results as one HTML file, for people'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "timeline" -d 'A window of one simulation for Perfetto, event by event'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "render" -d 'Pages whose numbers come from result files'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "trace" -d 'Look at traces'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "cache" -d 'Replay only the caches: policies by capacities, no timing'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "list" -d 'What there is to choose from'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "fuzz" -d 'Random scenarios with every invariant asserted'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "explain" -d 'Everything about one scheduler, workload, policy, model or card'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "calibrate" -d 'Fit the step cost to measured steps, or hold it against a measured server'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "completions" -d 'What a shell needs to complete this command line'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "man" -d 'Manual pages'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and not __fish_seen_subcommand_from run sweep capacity merge diff check schema plot report timeline render trace cache list fuzz explain calibrate completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and __fish_seen_subcommand_from trace" -f -a "stats" -d 'Rows, lengths, burstiness, sharing, hit ratios of every cache size'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and __fish_seen_subcommand_from trace" -f -a "validate" -d 'Read it all and say what is wrong with it'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and __fish_seen_subcommand_from trace" -f -a "convert" -d 'Write it in the canonical form: JSON lines, compressed if the name ends in .zst or .gz; Parquet for .parquet'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and __fish_seen_subcommand_from trace" -f -a "generate" -d 'Write a generated workload in the same form'
complete -c trimtab -n "__fish_trimtab_using_subcommand help; and __fish_seen_subcommand_from trace" -f -a "keys" -d 'How long the adaptive keys of DualMap become: shares of requests by blocks of their key, as CSV'
