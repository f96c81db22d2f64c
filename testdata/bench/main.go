// Bench measures how fast messages go out: our Relay beside other senders and a raw
// socket client, against the same sink in one run. Only the ratios mean something,
// as machines differ and are busy; where other work takes from the rates, the CPU
// time of sender and sink together says what they would be.
//
//	go run . -size 10 -callers 1,64 -extensions CHUNKING -rtt 0 -tls=false -time 2s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"
)

// setting is what one table of results was measured with.
type setting struct {
	addr    string
	sink    int // process
	tls     bool
	callers int
	message []byte
	time    time.Duration
}

func main() {
	log.SetFlags(0)
	var (
		callers    = flag.String("callers", "1,64", "how many callers send at a time")
		kilobytes  = flag.Int("size", 10, "size of a message in KiB")
		extensions = flag.String("extensions", "CHUNKING,PIPELINING", "for each: with CHUNKING and PIPELINING, or with PIPELINING only")
		rtt        = flag.Duration("rtt", 0, "round trip of the link")
		useTLS     = flag.Bool("tls", false, "with TLS from the start")
		span       = flag.Duration("time", time.Second, "how long each sender is measured")
		only       = flag.String("only", "", "the senders whose names hold this")
		profile    = flag.String("cpuprofile", "", "write a profile of the CPU to this file")
		sinkOnly   = flag.String("sink", "", "be the sink, with this extension")
	)
	flag.Parse()
	if *sinkOnly != "" {
		log.Fatal(runSink(*sinkOnly, *rtt, *useTLS, func(addr string) { fmt.Println(addr) }))
	}
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			log.Fatal(err)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			log.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	for extension := range strings.SplitSeq(*extensions, ",") {
		addr, process, stop, err := startSink(extension, *rtt, *useTLS)
		if err != nil {
			log.Fatal(err)
		}
		for n := range strings.SplitSeq(*callers, ",") {
			callers, err := strconv.Atoi(n)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("\n%s, %d KiB, %d callers, %v round trip, TLS %t\n", extension, *kilobytes, callers, *rtt, *useTLS)
			compare(setting{addr, process.Pid, *useTLS, callers, newMessage(*kilobytes << 10), *span}, extension, *only)
		}
		stop()
	}
}

// startSink runs the sink in a process of its own.
func startSink(extension string, rtt time.Duration, useTLS bool) (addr string, process *os.Process, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, nil, err
	}
	sink := exec.Command(self, "-sink", extension, "-rtt", rtt.String(), "-tls="+strconv.FormatBool(useTLS))
	sink.Stderr = os.Stderr
	out, err := sink.StdoutPipe()
	if err != nil {
		return "", nil, nil, err
	}
	if err := sink.Start(); err != nil {
		return "", nil, nil, err
	}
	if _, err := fmt.Fscanln(out, &addr); err != nil {
		return "", nil, nil, err
	}
	return addr, sink.Process, func() { _ = sink.Process.Kill(); _ = sink.Wait() }, nil
}

func newMessage(size int) []byte {
	const line = "Cada mensaje de esta medida dice lo mismo tantas veces como haga falta.\r\n"
	return []byte("From: ana@example.com\r\nTo: luis@example.com\r\nSubject: Hola\r\n\r\n" + strings.Repeat(line, size/len(line)))
}

// compare measures one sender after another and prints their rates, and how they
// stand to go-mail and to the best raw client.
func compare(s setting, extension, only string) {
	rates := map[string]result{}
	var names []string
	for _, c := range candidates(extension) {
		if only != "" && !strings.Contains(c.name, only) {
			continue
		}
		r, err := measure(s, c)
		if err != nil {
			log.Printf("%s: %v", c.name, err)
			continue
		}
		rates[c.name] = r
		names = append(names, c.name)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "sender\tmessages/s\t× go-mail\t× raw\tCPU µs\tsink µs\tsyscalls\tallocs\tbytes\t")
	for _, name := range names {
		r := rates[name]
		fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.2f\t%.1f\t%.1f\t%.2f\t%.0f\t%.0f\t\n", name, r.rate,
			r.rate/rates["go-mail"].rate, r.rate/rates["raw"].rate, r.cpu, r.sink, r.syscalls, r.allocs, r.bytes)
	}
	_ = w.Flush()
}

// result is messages a second, and what one message costs this process and the sink.
type result struct{ rate, cpu, sink, syscalls, allocs, bytes float64 }

// measure lets all callers of a candidate send for a while, after a start that does
// not count.
func measure(s setting, c candidate) (result, error) {
	send, stop, err := c.start(s)
	if err != nil {
		return result{}, err
	}
	defer stop()
	warm := min(s.time/4, time.Second)
	if _, err := run(s.callers, warm, send); err != nil {
		return result{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, cpu, sink, calls := time.Now(), cpuTime(), sinkTime(s.sink), syscalls()
	n, err := run(s.callers, s.time, send)
	took, spent, sinkSpent := time.Since(began).Seconds(), cpuTime()-cpu, sinkTime(s.sink)-sink
	runtime.ReadMemStats(&after)
	return result{
		rate:     float64(n) / took,
		cpu:      float64(spent.Microseconds()) / float64(n),
		sink:     float64(sinkSpent.Microseconds()) / float64(n),
		syscalls: float64(syscalls()-calls) / float64(n),
		allocs:   float64(after.Mallocs-before.Mallocs) / float64(n),
		bytes:    float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
	}, err
}

func run(callers int, span time.Duration, send func(ctx context.Context, caller int) (int, error)) (int64, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var done atomic.Bool
	timer := time.AfterFunc(span, func() { done.Store(true) })
	defer timer.Stop()
	var sent atomic.Int64
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for !done.Load() {
				n, err := send(ctx, caller)
				if err != nil {
					errs[caller] = err
					return
				}
				sent.Add(int64(n))
			}
		})
	}
	wg.Wait()
	return sent.Load(), errors.Join(errs...)
}

// cpuTime is what this process has used so far. Other processes on the machine take
// from the rates, but not from this.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// sinkTime is what the process of the sink has used so far, where the system tells.
func sinkTime(process int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	kernel, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+kernel) * 10 * time.Millisecond
}

// syscalls counts the reads and writes of this process so far, where the system
// tells.
func syscalls() (n int64) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); name == "syscr" || name == "syscw" {
			count, _ := strconv.ParseInt(value, 10, 64)
			n += count
		}
	}
	return n
}
