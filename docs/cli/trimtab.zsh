#compdef trimtab

autoload -U is-at-least

_trimtab() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_trimtab_commands" \
"*::: :->trimtab" \
&& ret=0
    case $state in
    (trimtab)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:trimtab-command-$line[1]:"
        case $line[1] in
            (run)
_arguments "${_arguments_options[@]}" : \
'--cell=[Which cell\: the beginning of its id (see \`trimtab check --cells\`); needless if there is one only]:ID:_default' \
'(--workload)--trace=[Trace file to replay; the format is sniffed]:FILE:_default' \
'--format=[Force the trace format (see \`trimtab list formats\`)]:NAME:_default' \
'--workload=[Generated workload (see \`trimtab list workloads\`)]:NAME:_default' \
'--scheduler=[Scheduler (see \`trimtab list schedulers\`) \[default\: round-robin\]]:NAME:_default' \
'--instances=[Instances \[default\: 8\]]:N:_default' \
'(--speedup)--rate=[Rescale the arrival clock to this many requests per second]:RPS:_default' \
'--speedup=[Divide arrival times by this]:X:_default' \
'--arrivals=[Arrival process instead of the recorded times\: poisson, constant, gamma\:CV, weibull\:CV, or JSON such as '\''{"states"\:{"rates"\:\[0.2,1.8\],"stay_s"\:60}}'\'' (see docs/workloads.md)]:PROCESS:_default' \
'--jitter-s=[Move each arrival later by up to this, seeded\: spreads the ticks of a coarse clock]:SECONDS:_default' \
'--keep-sessions=[Keep each session with this probability, seeded]:SHARE:_default' \
'--start=[Begin at this time of the trace, which becomes 0]:SECONDS:_default' \
'--duration=[The requests of this many seconds]:SECONDS:_default' \
'--trace-block=[Tokens of one block id of the trace, when they are not those of its format]:N:_default' \
'--zero-output=[Requests without output\: drop, or one (token, which is what a prefill yields) \[default\: drop\]]:WHAT:_default' \
'--max-dropped=[The share of rows that may be skipped, instead of 0.01]:SHARE:_default' \
'--tenants=[So many tenants, the r-th with a rate in proportion to r^-SKEW]:N[:SKEW]:_default' \
'--users=[So many users, one request at a time each, instead of arrival times]:N:_default' \
'--think-s=[Seconds between an answer and the next request, where the workload does not say them]:SECONDS:_default' \
'--model=[Model\: catalogue name, TOML file or Hugging Face config.json \[default\: qwen2.5-7b\]]:NAME:_default' \
'--hardware=[Hardware\: catalogue name or TOML file \[default\: h100\]]:NAME:_default' \
'--tp=[GPUs per instance (tensor parallel) \[default\: 1\]]:N:_default' \
'--weights=[Storage type of the weights\: bf16 or fp8]:TYPE:_default' \
'--kv-tokens=[KV cache per instance in tokens, instead of what fits]:N:_default' \
'--block-tokens=[Tokens of a KV block \[default\: 16\]]:N:_default' \
'--max-batched-tokens=[Token budget of a step \[default\: 8192\]]:N:_default' \
'--max-seqs=[Sequence limit of a step \[default\: 256\]]:N:_default' \
'--mixing=[decode-first or prefill-first \[default\: decode-first\]]:NAME:_default' \
'--order=[Admission order\: fcfs, longest-prefix or preble \[default\: fcfs\]]:NAME:_default' \
'--watermark=[Share of KV blocks that admission leaves free \[default\: 0.0\]]:SHARE:_default' \
'--eviction=[Which cached block goes first \[default\: lru\]]:NAME:_default' \
'--cache-visible=[When a block can be hit\: computed or scheduled \[default\: computed\]]:NAME:_default' \
'--generated=[Generated blocks that nothing can name\: free or keep \[default\: free\]]:NAME:_default' \
'--cost=[Step cost\: analytic, polynomial, or a table such as '\''{kind = "analytic", profile = "fitted"}'\'' \[default\: analytic\]]:KIND:_default' \
'--slo-ttft=[TTFT objective]:SECONDS:_default' \
'--slo-tpot=[TPOT objective]:SECONDS:_default' \
'--slo-e2e=[End-to-end objective]:SECONDS:_default' \
'--warmup-requests=[Leave the first N requests out of the statistics \[default\: 0\]]:N:_default' \
'--max-input-tokens=[Cut prompts to N tokens, keeping the head]:N:_default' \
'--limit=[The first N requests]:N:_default' \
'--seed=[Seed of every random stream \[default\: 1\]]:N:_default' \
'*--param=[Scheduler parameter (see \`trimtab explain\`)]:KEY=VALUE:_default' \
'*--workload-param=[Parameter of the generated workload]:KEY=VALUE:_default' \
'*--eviction-param=[Parameter of the eviction policy (see \`trimtab explain eviction NAME\`)]:KEY=VALUE:_default' \
'*--set=[Any value by its dotted path, such as signals.refresh_ms=50 (of the spec, if there is one)]:PATH=VALUE:_default' \
'--stepping=[macro or every\: how time advances; the results are the same]:STEPPING:_default' \
'--requests-out=[One row per request\: .csv or .parquet]:FILE:_files' \
'--decisions-out=[One row per decision\: .csv or .parquet]:FILE:_files' \
'--load-out=[One row per instance and 10 s\: .csv or .parquet]:FILE:_files' \
'--jitter-ticks[Spread arrivals that share a time up to the next time, seeded]' \
'--lenient[Skip and count faulty rows, up to 1 % of them]' \
'--strict-order[Refuse times that decrease, instead of sorting]' \
'(--users)--closed-loop[A turn of a session waits for the end of the turn before it]' \
'--no-prefix-cache[Reuse nothing]' \
'--partial-tail[Reuse the final partial block of a prompt too]' \
'--json[One JSON document]' \
'--regret[Try every instance for each decision, to tell what would have been best; slow]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'::spec -- A spec, to run one of its cells; flags then change that cell:_files' \
&& ret=0
;;
(sweep)
_arguments "${_arguments_options[@]}" : \
'-o+[Results folder; \`results/NAME\` of the spec when not given, where finished cells are kept]:DIR:_files' \
'--out=[Results folder; \`results/NAME\` of the spec when not given, where finished cells are kept]:DIR:_files' \
'-j+[Cells at a time; as many as there are processors when not given]:N:_default' \
'--jobs=[Cells at a time; as many as there are processors when not given]:N:_default' \
'--shard=[Run only part i of n, to be merged later]:I/N:_default' \
'*--set=[Change a value of the spec]:PATH=VALUE:_default' \
'--resume[Keep finished cells of the results folder and run the others]' \
'(--resume)--force[Discard what is in the results folder]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':spec -- The spec (TOML):_files' \
&& ret=0
;;
(capacity)
_arguments "${_arguments_options[@]}" : \
'-o+[Results folder; \`results/NAME\` of the spec when not given, where finished cells are kept]:DIR:_files' \
'--out=[Results folder; \`results/NAME\` of the spec when not given, where finished cells are kept]:DIR:_files' \
'-j+[Cells at a time; as many as there are processors when not given]:N:_default' \
'--jobs=[Cells at a time; as many as there are processors when not given]:N:_default' \
'--shard=[Run only part i of n, to be merged later]:I/N:_default' \
'*--set=[Change a value of the spec]:PATH=VALUE:_default' \
'--resume[Keep finished cells of the results folder and run the others]' \
'(--resume)--force[Discard what is in the results folder]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':spec -- The spec (TOML):_files' \
&& ret=0
;;
(merge)
_arguments "${_arguments_options[@]}" : \
'-o+[Results folder; \`results/NAME\` of the spec when not given, where finished cells are kept]:DIR:_files' \
'--out=[Results folder; \`results/NAME\` of the spec when not given, where finished cells are kept]:DIR:_files' \
'-j+[Cells at a time; as many as there are processors when not given]:N:_default' \
'--jobs=[Cells at a time; as many as there are processors when not given]:N:_default' \
'--resume[Keep finished cells of the results folder and run the others]' \
'(--resume)--force[Discard what is in the results folder]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'*::parts -- Results folders of all parts:_files' \
&& ret=0
;;
(diff)
_arguments "${_arguments_options[@]}" : \
'--tolerance=[How far numbers may be apart, as a share of the larger]:SHARE:_default' \
'--json[One JSON document]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':left -- A results folder:_files' \
':right -- Another one:_files' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'*--set=[Change a value of the spec]:PATH=VALUE:_default' \
'-j+[Cells at a time, for the estimate; as many as there are processors when not given]:N:_default' \
'--jobs=[Cells at a time, for the estimate; as many as there are processors when not given]:N:_default' \
'--cells[Every cell with its id]' \
'--print-plan[The plan as JSON\: everything resolved, defaults filled in]' \
'--json[One JSON document]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':spec -- The spec (TOML):_files' \
&& ret=0
;;
(schema)
_arguments "${_arguments_options[@]}" : \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(plot)
_arguments "${_arguments_options[@]}" : \
'--figure=[One kind of figure (see \`trimtab list figures\`); all that the results allow when not given]:NAME:_default' \
'*-f+[svg, pdf, png]:FORMATS:_default' \
'*--formats=[svg, pdf, png]:FORMATS:_default' \
'--theme=[paper, paper-wide, slide, or a TOML file]:THEME:_default' \
'-o+[Where they go; \`plots\` in the results folder when not given]:DIR:_files' \
'--out=[Where they go; \`plots\` in the results folder when not given]:DIR:_files' \
'--list[Draw nothing\: say which figures the results allow, and what the others lack]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':results -- A results folder:_files' \
&& ret=0
;;
(report)
_arguments "${_arguments_options[@]}" : \
'-o+[The HTML file; \`report.html\` in the results folder when not given]:FILE:_files' \
'--out=[The HTML file; \`report.html\` in the results folder when not given]:FILE:_files' \
'--theme=[A TOML file with looks of schedulers, as for \`trimtab plot\`]:FILE:_files' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':results -- A results folder:_files' \
&& ret=0
;;
(timeline)
_arguments "${_arguments_options[@]}" : \
'--cell=[Which cell\: the beginning of its id (see \`trimtab check --cells\`); needless if there is one only]:ID:_default' \
'(--workload)--trace=[Trace file to replay; the format is sniffed]:FILE:_default' \
'--format=[Force the trace format (see \`trimtab list formats\`)]:NAME:_default' \
'--workload=[Generated workload (see \`trimtab list workloads\`)]:NAME:_default' \
'--scheduler=[Scheduler (see \`trimtab list schedulers\`) \[default\: round-robin\]]:NAME:_default' \
'--instances=[Instances \[default\: 8\]]:N:_default' \
'(--speedup)--rate=[Rescale the arrival clock to this many requests per second]:RPS:_default' \
'--speedup=[Divide arrival times by this]:X:_default' \
'--arrivals=[Arrival process instead of the recorded times\: poisson, constant, gamma\:CV, weibull\:CV, or JSON such as '\''{"states"\:{"rates"\:\[0.2,1.8\],"stay_s"\:60}}'\'' (see docs/workloads.md)]:PROCESS:_default' \
'--jitter-s=[Move each arrival later by up to this, seeded\: spreads the ticks of a coarse clock]:SECONDS:_default' \
'--keep-sessions=[Keep each session with this probability, seeded]:SHARE:_default' \
'--start=[Begin at this time of the trace, which becomes 0]:SECONDS:_default' \
'--duration=[The requests of this many seconds]:SECONDS:_default' \
'--trace-block=[Tokens of one block id of the trace, when they are not those of its format]:N:_default' \
'--zero-output=[Requests without output\: drop, or one (token, which is what a prefill yields) \[default\: drop\]]:WHAT:_default' \
'--max-dropped=[The share of rows that may be skipped, instead of 0.01]:SHARE:_default' \
'--tenants=[So many tenants, the r-th with a rate in proportion to r^-SKEW]:N[:SKEW]:_default' \
'--users=[So many users, one request at a time each, instead of arrival times]:N:_default' \
'--think-s=[Seconds between an answer and the next request, where the workload does not say them]:SECONDS:_default' \
'--model=[Model\: catalogue name, TOML file or Hugging Face config.json \[default\: qwen2.5-7b\]]:NAME:_default' \
'--hardware=[Hardware\: catalogue name or TOML file \[default\: h100\]]:NAME:_default' \
'--tp=[GPUs per instance (tensor parallel) \[default\: 1\]]:N:_default' \
'--weights=[Storage type of the weights\: bf16 or fp8]:TYPE:_default' \
'--kv-tokens=[KV cache per instance in tokens, instead of what fits]:N:_default' \
'--block-tokens=[Tokens of a KV block \[default\: 16\]]:N:_default' \
'--max-batched-tokens=[Token budget of a step \[default\: 8192\]]:N:_default' \
'--max-seqs=[Sequence limit of a step \[default\: 256\]]:N:_default' \
'--mixing=[decode-first or prefill-first \[default\: decode-first\]]:NAME:_default' \
'--order=[Admission order\: fcfs, longest-prefix or preble \[default\: fcfs\]]:NAME:_default' \
'--watermark=[Share of KV blocks that admission leaves free \[default\: 0.0\]]:SHARE:_default' \
'--eviction=[Which cached block goes first \[default\: lru\]]:NAME:_default' \
'--cache-visible=[When a block can be hit\: computed or scheduled \[default\: computed\]]:NAME:_default' \
'--generated=[Generated blocks that nothing can name\: free or keep \[default\: free\]]:NAME:_default' \
'--cost=[Step cost\: analytic, polynomial, or a table such as '\''{kind = "analytic", profile = "fitted"}'\'' \[default\: analytic\]]:KIND:_default' \
'--slo-ttft=[TTFT objective]:SECONDS:_default' \
'--slo-tpot=[TPOT objective]:SECONDS:_default' \
'--slo-e2e=[End-to-end objective]:SECONDS:_default' \
'--warmup-requests=[Leave the first N requests out of the statistics \[default\: 0\]]:N:_default' \
'--max-input-tokens=[Cut prompts to N tokens, keeping the head]:N:_default' \
'--limit=[The first N requests]:N:_default' \
'--seed=[Seed of every random stream \[default\: 1\]]:N:_default' \
'*--param=[Scheduler parameter (see \`trimtab explain\`)]:KEY=VALUE:_default' \
'*--workload-param=[Parameter of the generated workload]:KEY=VALUE:_default' \
'*--eviction-param=[Parameter of the eviction policy (see \`trimtab explain eviction NAME\`)]:KEY=VALUE:_default' \
'*--set=[Any value by its dotted path, such as signals.refresh_ms=50 (of the spec, if there is one)]:PATH=VALUE:_default' \
'--from-s=[When the window begins, in seconds of simulated time]:SECONDS:_default' \
'--to-s=[When it ends]:SECONDS:_default' \
'--max-events=[More events than this are refused\: a viewer would not open them]:N:_default' \
'-o+[The file\: .json or .json.gz, for ui.perfetto.dev or chrome\://tracing]:FILE:_files' \
'--out=[The file\: .json or .json.gz, for ui.perfetto.dev or chrome\://tracing]:FILE:_files' \
'--jitter-ticks[Spread arrivals that share a time up to the next time, seeded]' \
'--lenient[Skip and count faulty rows, up to 1 % of them]' \
'--strict-order[Refuse times that decrease, instead of sorting]' \
'(--users)--closed-loop[A turn of a session waits for the end of the turn before it]' \
'--no-prefix-cache[Reuse nothing]' \
'--partial-tail[Reuse the final partial block of a prompt too]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'::spec -- A spec, to run one of its cells; flags then change that cell:_files' \
&& ret=0
;;
(render)
_arguments "${_arguments_options[@]}" : \
'--results=[The folder of the result files]:DIR:_files' \
'-o+[Where the pages go]:DIR:_files' \
'--out=[Where the pages go]:DIR:_files' \
'--check[Writes nothing, and fails if a page is not what it would be]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'::pages -- The folder of the templates, and of `published.csv`:_files' \
&& ret=0
;;
(trace)
_arguments "${_arguments_options[@]}" : \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_trimtab__subcmd__trace_commands" \
"*::: :->trace" \
&& ret=0

    case $state in
    (trace)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:trimtab-trace-command-$line[1]:"
        case $line[1] in
            (stats)
_arguments "${_arguments_options[@]}" : \
'--format=[Force the trace format (see \`trimtab list formats\`)]:NAME:_default' \
'--max-input-tokens=[Cut prompts to N tokens, keeping the head]:N:_default' \
'--start=[Begin at this time of the trace, which becomes 0]:SECONDS:_default' \
'--trace-block=[Tokens of one block id of the trace, when they are not those of its format]:N:_default' \
'--zero-output=[Requests without output\: drop, or one (token, which is what a prefill yields)]:ZERO_OUTPUT:_default' \
'--max-dropped=[The share of rows that may be skipped, instead of 0.01]:SHARE:_default' \
'--limit=[The first N requests]:N:_default' \
'--duration=[The requests of this many seconds]:SECONDS:_default' \
'*--capacities=[Cache sizes, in blocks, at which the LRU hit ratio is told]:N,N,...:_default' \
'--block-tokens=[Tokens of a block, instead of the trace'\''s own]:N:_default' \
'--plot=[Draw LRU hit ratios, popularity and reuse into this file (.svg, .pdf or .png), the points beside it as CSV]:FILE:_files' \
'--theme=[Theme of the figure\: paper, paper-wide, slide, or a TOML file]:THEME:_default' \
'--lenient[Skip and count faulty rows, up to 1 % of them]' \
'--strict-order[Refuse times that decrease, instead of sorting]' \
'--partial-tail[Count the final partial block of a prompt too]' \
'--json[One JSON document]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':file -- Trace file; compressed ones and Parquet too:_files' \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
'--format=[Force the trace format (see \`trimtab list formats\`)]:NAME:_default' \
'--max-input-tokens=[Cut prompts to N tokens, keeping the head]:N:_default' \
'--start=[Begin at this time of the trace, which becomes 0]:SECONDS:_default' \
'--trace-block=[Tokens of one block id of the trace, when they are not those of its format]:N:_default' \
'--zero-output=[Requests without output\: drop, or one (token, which is what a prefill yields)]:ZERO_OUTPUT:_default' \
'--max-dropped=[The share of rows that may be skipped, instead of 0.01]:SHARE:_default' \
'--limit=[The first N requests]:N:_default' \
'--duration=[The requests of this many seconds]:SECONDS:_default' \
'--lenient[Skip and count faulty rows, up to 1 % of them]' \
'--strict-order[Refuse times that decrease, instead of sorting]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':file -- Trace file; compressed ones and Parquet too:_files' \
&& ret=0
;;
(convert)
_arguments "${_arguments_options[@]}" : \
'--format=[Force the trace format (see \`trimtab list formats\`)]:NAME:_default' \
'--max-input-tokens=[Cut prompts to N tokens, keeping the head]:N:_default' \
'--start=[Begin at this time of the trace, which becomes 0]:SECONDS:_default' \
'--trace-block=[Tokens of one block id of the trace, when they are not those of its format]:N:_default' \
'--zero-output=[Requests without output\: drop, or one (token, which is what a prefill yields)]:ZERO_OUTPUT:_default' \
'--max-dropped=[The share of rows that may be skipped, instead of 0.01]:SHARE:_default' \
'--limit=[The first N requests]:N:_default' \
'--duration=[The requests of this many seconds]:SECONDS:_default' \
'(--speedup)--rate=[Rescale the arrival clock to this many requests per second]:RPS:_default' \
'--speedup=[Divide arrival times by this]:X:_default' \
'--arrivals=[Arrival process instead of the recorded times\: poisson, constant, gamma\:CV, weibull\:CV, or JSON such as '\''{"states"\:{"rates"\:\[0.2,1.8\],"stay_s"\:60}}'\'' (see docs/workloads.md)]:PROCESS:_default' \
'--jitter-s=[Move each arrival later by up to this, seeded\: spreads the ticks of a coarse clock]:SECONDS:_default' \
'--keep-sessions=[Keep each session with this probability, seeded]:SHARE:_default' \
'--seed=[Seed of every random stream]:SEED:_default' \
'-o+[Where it goes; what it becomes is told from the end of the name]:FILE:_files' \
'--out=[Where it goes; what it becomes is told from the end of the name]:FILE:_files' \
'--lenient[Skip and count faulty rows, up to 1 % of them]' \
'--strict-order[Refuse times that decrease, instead of sorting]' \
'--jitter-ticks[Spread arrivals that share a time up to the next time, seeded]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':file -- Trace file; compressed ones and Parquet too:_files' \
&& ret=0
;;
(generate)
_arguments "${_arguments_options[@]}" : \
'*--param=[Parameter of the generator (see \`trimtab explain\`)]:KEY=VALUE:_default' \
'--tenants=[So many tenants, the r-th with a rate in proportion to r^-SKEW]:N[:SKEW]:_default' \
'--limit=[The first N requests]:N:_default' \
'--duration=[The requests of this many seconds]:SECONDS:_default' \
'(--speedup)--rate=[Rescale the arrival clock to this many requests per second]:RPS:_default' \
'--speedup=[Divide arrival times by this]:X:_default' \
'--arrivals=[Arrival process instead of the recorded times\: poisson, constant, gamma\:CV, weibull\:CV, or JSON such as '\''{"states"\:{"rates"\:\[0.2,1.8\],"stay_s"\:60}}'\'' (see docs/workloads.md)]:PROCESS:_default' \
'--jitter-s=[Move each arrival later by up to this, seeded\: spreads the ticks of a coarse clock]:SECONDS:_default' \
'--keep-sessions=[Keep each session with this probability, seeded]:SHARE:_default' \
'--seed=[Seed of every random stream]:SEED:_default' \
'-o+[Where it goes; what it becomes is told from the end of the name]:FILE:_files' \
'--out=[Where it goes; what it becomes is told from the end of the name]:FILE:_files' \
'--jitter-ticks[Spread arrivals that share a time up to the next time, seeded]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':name -- Generator (see `trimtab list workloads`):_default' \
&& ret=0
;;
(keys)
_arguments "${_arguments_options[@]}" : \
'--format=[Force the trace format (see \`trimtab list formats\`)]:NAME:_default' \
'--max-input-tokens=[Cut prompts to N tokens, keeping the head]:N:_default' \
'--start=[Begin at this time of the trace, which becomes 0]:SECONDS:_default' \
'--trace-block=[Tokens of one block id of the trace, when they are not those of its format]:N:_default' \
'--zero-output=[Requests without output\: drop, or one (token, which is what a prefill yields)]:ZERO_OUTPUT:_default' \
'--max-dropped=[The share of rows that may be skipped, instead of 0.01]:SHARE:_default' \
'--limit=[The first N requests]:N:_default' \
'--duration=[The requests of this many seconds]:SECONDS:_default' \
'--workload=[Generated workload instead of a trace]:NAME:_default' \
'--instances=[Members of the cluster\: a prefix with more than 2/N of the recent requests gets longer keys]:N:_default' \
'--window=[Recent requests that shares are taken over]:N:_default' \
'--warmup-requests=[Requests that are not counted]:N:_default' \
'*--seeds=[Seeds of the generator; shares are means over them]:N,N,...:_default' \
'--lenient[Skip and count faulty rows, up to 1 % of them]' \
'--strict-order[Refuse times that decrease, instead of sorting]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'::file -- Trace file; compressed ones and Parquet too:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_trimtab__subcmd__trace__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:trimtab-trace-help-command-$line[1]:"
        case $line[1] in
            (stats)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(convert)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(generate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(keys)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(cache)
_arguments "${_arguments_options[@]}" : \
'--format=[Force the trace format (see \`trimtab list formats\`)]:NAME:_default' \
'--max-input-tokens=[Cut prompts to N tokens, keeping the head]:N:_default' \
'--start=[Begin at this time of the trace, which becomes 0]:SECONDS:_default' \
'--trace-block=[Tokens of one block id of the trace, when they are not those of its format]:N:_default' \
'--zero-output=[Requests without output\: drop, or one (token, which is what a prefill yields)]:ZERO_OUTPUT:_default' \
'--max-dropped=[The share of rows that may be skipped, instead of 0.01]:SHARE:_default' \
'--limit=[The first N requests]:N:_default' \
'--duration=[The requests of this many seconds]:SECONDS:_default' \
'--workload=[Generated workload instead of a trace]:NAME:_default' \
'*--workload-param=[Parameter of the generated workload]:KEY=VALUE:_default' \
'*--policy=[Eviction policies (see \`trimtab list evictions\`), or \`all\`]:NAME,...:_default' \
'*--policy-param=[Parameter of a policy]:POLICY.KEY=VALUE:_default' \
'*--capacities=[Blocks of each cache]:N,N,...:_default' \
'--block-tokens=[Tokens of a block; the trace'\''s own when not given, 16 for generated workloads]:N:_default' \
'--instances=[How many caches]:N:_default' \
'--router=[Which cache a request goes to\: round-robin, session or prefix]:ROUTER:_default' \
'--seed=[Seed of every random stream]:SEED:_default' \
'--plot=[Draw the miss ratios (.svg, .pdf or .png), the points drawn as CSV beside it]:FILE:_files' \
'--lenient[Skip and count faulty rows, up to 1 % of them]' \
'--strict-order[Refuse times that decrease, instead of sorting]' \
'--partial-tail[Cache and match the final partial block of a prompt too]' \
'--json[One JSON array]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'::file -- Trace file; compressed ones too:_files' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'--json[One JSON array of objects with \`name\` and \`summary\`]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':kind -- schedulers, workloads, evictions, autoscalers, admissions, models, hardware, formats or figures:_default' \
&& ret=0
;;
(fuzz)
_arguments "${_arguments_options[@]}" : \
'--seed=[Seed of the first case]:N:_default' \
'--cases=[How many cases]:N:_default' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'--hardware=[For a model\: the card it runs on]:HARDWARE:_default' \
'--model=[For a card\: the model that runs on it]:MODEL:_default' \
'--tp=[GPUs per instance]:TP:_default' \
'--block-tokens=[Tokens of a KV block]:N:_default' \
'--max-batched-tokens=[Token budget of a step]:N:_default' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'*::what -- `NAME`, or `scheduler`, `workload`, `eviction`, `autoscaler`, `admission`, `model` or `hardware` and a name:_default' \
&& ret=0
;;
(calibrate)
_arguments "${_arguments_options[@]}" : \
'--hardware=[Keep the rows of this hardware, or say what it is]:H:_default' \
'--engine=[Keep the rows of this engine, or say what it is]:E:_default' \
'--model=[Keep the rows of this model, or say what it is]:M:_default' \
'--tp=[Tensor-parallel degree, when the rows do not say it]:N:_default' \
'-o+[Where the fitted profile goes (TOML)]:FILE:_files' \
'--out=[Where the fitted profile goes (TOML)]:FILE:_files' \
'--holdout=[Measured steps that the fit must not see (CSV)]:FILE:_files' \
'--residuals-out=[Where measured, predicted and relative error of every row go (CSV)]:FILE:_files' \
'--plot=[Where a figure goes (.svg, .pdf or .png)\: the error of every step, or the measured server beside its simulation]:FILE:_files' \
'--requests=[Measured requests of a real server (CSV), replayed and compared]:FILE:_files' \
'--profile=[Fitted profile to replay with; the defaults otherwise]:FILE:_files' \
'--kv-blocks=[KV blocks of the measured server]:N:_default' \
'--block-tokens=[Tokens of a KV block of the measured server]:N:_default' \
'--max-batched-tokens=[Token budget of a step of the measured server]:N:_default' \
'--max-seqs=[Sequence limit of the measured server]:N:_default' \
'--api-ms=[Milliseconds that a request spends outside the engine before its first token]:MS:_default' \
'--fit-host[Fit the host overhead of a step on this very run]' \
'--json[One JSON document]' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'::steps -- Measured steps (CSV):_files' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
':shell -- Which shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(man)
_arguments "${_arguments_options[@]}" : \
'-o+[Write one page for each verb into this folder, instead of the main page to stdout]:DIR:_files' \
'--out=[Write one page for each verb into this folder, instead of the main page to stdout]:DIR:_files' \
'-q[Print less\: no progress, no notes]' \
'--quiet[Print less\: no progress, no notes]' \
'--no-progress[Never draw a progress line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_trimtab__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:trimtab-help-command-$line[1]:"
        case $line[1] in
            (run)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(sweep)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(capacity)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(merge)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(diff)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(schema)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(plot)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(report)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(timeline)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(render)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(trace)
_arguments "${_arguments_options[@]}" : \
":: :_trimtab__subcmd__help__subcmd__trace_commands" \
"*::: :->trace" \
&& ret=0

    case $state in
    (trace)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:trimtab-help-trace-command-$line[1]:"
        case $line[1] in
            (stats)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(convert)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(generate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(keys)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(cache)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(fuzz)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(calibrate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(man)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_trimtab_commands] )) ||
_trimtab_commands() {
    local commands; commands=(
'run:One simulation\: a table, or one JSON document with \`--json\`' \
'sweep:Every cell of a spec\: a table, stored results' \
'capacity:The highest rate that meets the objectives, per scheduler' \
'merge:Put the parts of a sharded run together' \
'diff:Whether two results folders say the same' \
'check:What a spec would run and cost; runs nothing' \
'schema:The JSON Schema of specs, for editors' \
'plot:Figures from stored results' \
'report:Stored results as one HTML file, for people' \
'timeline:A window of one simulation for Perfetto, event by event' \
'render:Pages whose numbers come from result files' \
'trace:Look at traces' \
'cache:Replay only the caches\: policies by capacities, no timing' \
'list:What there is to choose from' \
'fuzz:Random scenarios with every invariant asserted' \
'explain:Everything about one scheduler, workload, policy, model or card' \
'calibrate:Fit the step cost to measured steps, or hold it against a measured server' \
'completions:What a shell needs to complete this command line' \
'man:Manual pages' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'trimtab commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__cache_commands] )) ||
_trimtab__subcmd__cache_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab cache commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__calibrate_commands] )) ||
_trimtab__subcmd__calibrate_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab calibrate commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__capacity_commands] )) ||
_trimtab__subcmd__capacity_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab capacity commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__check_commands] )) ||
_trimtab__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab check commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__completions_commands] )) ||
_trimtab__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab completions commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__diff_commands] )) ||
_trimtab__subcmd__diff_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab diff commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__explain_commands] )) ||
_trimtab__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab explain commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__fuzz_commands] )) ||
_trimtab__subcmd__fuzz_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab fuzz commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help_commands] )) ||
_trimtab__subcmd__help_commands() {
    local commands; commands=(
'run:One simulation\: a table, or one JSON document with \`--json\`' \
'sweep:Every cell of a spec\: a table, stored results' \
'capacity:The highest rate that meets the objectives, per scheduler' \
'merge:Put the parts of a sharded run together' \
'diff:Whether two results folders say the same' \
'check:What a spec would run and cost; runs nothing' \
'schema:The JSON Schema of specs, for editors' \
'plot:Figures from stored results' \
'report:Stored results as one HTML file, for people' \
'timeline:A window of one simulation for Perfetto, event by event' \
'render:Pages whose numbers come from result files' \
'trace:Look at traces' \
'cache:Replay only the caches\: policies by capacities, no timing' \
'list:What there is to choose from' \
'fuzz:Random scenarios with every invariant asserted' \
'explain:Everything about one scheduler, workload, policy, model or card' \
'calibrate:Fit the step cost to measured steps, or hold it against a measured server' \
'completions:What a shell needs to complete this command line' \
'man:Manual pages' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'trimtab help commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__cache_commands] )) ||
_trimtab__subcmd__help__subcmd__cache_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help cache commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__calibrate_commands] )) ||
_trimtab__subcmd__help__subcmd__calibrate_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help calibrate commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__capacity_commands] )) ||
_trimtab__subcmd__help__subcmd__capacity_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help capacity commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__check_commands] )) ||
_trimtab__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help check commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__completions_commands] )) ||
_trimtab__subcmd__help__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help completions commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__diff_commands] )) ||
_trimtab__subcmd__help__subcmd__diff_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help diff commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__explain_commands] )) ||
_trimtab__subcmd__help__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help explain commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__fuzz_commands] )) ||
_trimtab__subcmd__help__subcmd__fuzz_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help fuzz commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__help_commands] )) ||
_trimtab__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help help commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__list_commands] )) ||
_trimtab__subcmd__help__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help list commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__man_commands] )) ||
_trimtab__subcmd__help__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help man commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__merge_commands] )) ||
_trimtab__subcmd__help__subcmd__merge_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help merge commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__plot_commands] )) ||
_trimtab__subcmd__help__subcmd__plot_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help plot commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__render_commands] )) ||
_trimtab__subcmd__help__subcmd__render_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help render commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__report_commands] )) ||
_trimtab__subcmd__help__subcmd__report_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help report commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__run_commands] )) ||
_trimtab__subcmd__help__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help run commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__schema_commands] )) ||
_trimtab__subcmd__help__subcmd__schema_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help schema commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__sweep_commands] )) ||
_trimtab__subcmd__help__subcmd__sweep_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help sweep commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__timeline_commands] )) ||
_trimtab__subcmd__help__subcmd__timeline_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help timeline commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__trace_commands] )) ||
_trimtab__subcmd__help__subcmd__trace_commands() {
    local commands; commands=(
'stats:Rows, lengths, burstiness, sharing, hit ratios of every cache size' \
'validate:Read it all and say what is wrong with it' \
'convert:Write it in the canonical form\: JSON lines, compressed if the name ends in .zst or .gz; Parquet for .parquet' \
'generate:Write a generated workload in the same form' \
'keys:How long the adaptive keys of DualMap become\: shares of requests by blocks of their key, as CSV' \
    )
    _describe -t commands 'trimtab help trace commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__trace__subcmd__convert_commands] )) ||
_trimtab__subcmd__help__subcmd__trace__subcmd__convert_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help trace convert commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__trace__subcmd__generate_commands] )) ||
_trimtab__subcmd__help__subcmd__trace__subcmd__generate_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help trace generate commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__trace__subcmd__keys_commands] )) ||
_trimtab__subcmd__help__subcmd__trace__subcmd__keys_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help trace keys commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__trace__subcmd__stats_commands] )) ||
_trimtab__subcmd__help__subcmd__trace__subcmd__stats_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help trace stats commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__help__subcmd__trace__subcmd__validate_commands] )) ||
_trimtab__subcmd__help__subcmd__trace__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab help trace validate commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__list_commands] )) ||
_trimtab__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab list commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__man_commands] )) ||
_trimtab__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab man commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__merge_commands] )) ||
_trimtab__subcmd__merge_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab merge commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__plot_commands] )) ||
_trimtab__subcmd__plot_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab plot commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__render_commands] )) ||
_trimtab__subcmd__render_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab render commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__report_commands] )) ||
_trimtab__subcmd__report_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab report commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__run_commands] )) ||
_trimtab__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab run commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__schema_commands] )) ||
_trimtab__subcmd__schema_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab schema commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__sweep_commands] )) ||
_trimtab__subcmd__sweep_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab sweep commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__timeline_commands] )) ||
_trimtab__subcmd__timeline_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab timeline commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace_commands] )) ||
_trimtab__subcmd__trace_commands() {
    local commands; commands=(
'stats:Rows, lengths, burstiness, sharing, hit ratios of every cache size' \
'validate:Read it all and say what is wrong with it' \
'convert:Write it in the canonical form\: JSON lines, compressed if the name ends in .zst or .gz; Parquet for .parquet' \
'generate:Write a generated workload in the same form' \
'keys:How long the adaptive keys of DualMap become\: shares of requests by blocks of their key, as CSV' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'trimtab trace commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__convert_commands] )) ||
_trimtab__subcmd__trace__subcmd__convert_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace convert commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__generate_commands] )) ||
_trimtab__subcmd__trace__subcmd__generate_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace generate commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__help_commands] )) ||
_trimtab__subcmd__trace__subcmd__help_commands() {
    local commands; commands=(
'stats:Rows, lengths, burstiness, sharing, hit ratios of every cache size' \
'validate:Read it all and say what is wrong with it' \
'convert:Write it in the canonical form\: JSON lines, compressed if the name ends in .zst or .gz; Parquet for .parquet' \
'generate:Write a generated workload in the same form' \
'keys:How long the adaptive keys of DualMap become\: shares of requests by blocks of their key, as CSV' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'trimtab trace help commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__help__subcmd__convert_commands] )) ||
_trimtab__subcmd__trace__subcmd__help__subcmd__convert_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace help convert commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__help__subcmd__generate_commands] )) ||
_trimtab__subcmd__trace__subcmd__help__subcmd__generate_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace help generate commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__help__subcmd__help_commands] )) ||
_trimtab__subcmd__trace__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace help help commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__help__subcmd__keys_commands] )) ||
_trimtab__subcmd__trace__subcmd__help__subcmd__keys_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace help keys commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__help__subcmd__stats_commands] )) ||
_trimtab__subcmd__trace__subcmd__help__subcmd__stats_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace help stats commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__help__subcmd__validate_commands] )) ||
_trimtab__subcmd__trace__subcmd__help__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace help validate commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__keys_commands] )) ||
_trimtab__subcmd__trace__subcmd__keys_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace keys commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__stats_commands] )) ||
_trimtab__subcmd__trace__subcmd__stats_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace stats commands' commands "$@"
}
(( $+functions[_trimtab__subcmd__trace__subcmd__validate_commands] )) ||
_trimtab__subcmd__trace__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'trimtab trace validate commands' commands "$@"
}

if [ "$funcstack[1]" = "_trimtab" ]; then
    _trimtab "$@"
else
    compdef _trimtab trimtab
fi
