// Fly's own Go client, unchanged, against localfly: each of its flaps calls, and what it makes of a refusal.
//
// The client reads FLY_FLAPS_BASE_URL. The last line is JSON for the test: what the client offers, what was driven,
// what localfly does not imitate. Anything found wrong ends the program with exit status 1.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"
)

const (
	app      = "from-fly-go"
	region   = "ams"
	patience = 10 * time.Second
	poll     = 30 * time.Millisecond
)

// No operation of the API by itself: it builds the requests of the others.
var notCalls = []string{"NewRequest"}

var (
	ctx        = context.Background()
	org        = os.Getenv("LOCALFLY_ORG")
	driven     = map[string]bool{}
	unimitated = map[string]bool{}
)

type stop struct{}

// ok notes a call that succeeded, ends the part on a 501 by name, and the program on any other error.
func ok(name string, err error) {
	var refused *flaps.FlapsError
	switch {
	case err == nil:
		driven[name] = true
	case errors.As(err, &refused) && refused.ResponseStatusCode == 501:
		unimitated[name] = true
		panic(stop{})
	default:
		fail("%s: %v", name, err)
	}
}

// part runs steps that stand or fall together; it ends where localfly does not imitate one of them.
func part(steps func()) {
	defer func() {
		if cause := recover(); cause != nil {
			if _, is501 := cause.(stop); !is501 {
				panic(cause)
			}
		}
	}()
	steps()
}

func want(holds bool, format string, values ...any) {
	if !holds {
		fail(format, values...)
	}
}

// refused wants the client's own error with this status and these words.
func refused(err error, status int, words string) {
	var refusal *flaps.FlapsError
	want(errors.As(err, &refusal), "not refused with %d: %v", status, err)
	want(refusal.ResponseStatusCode == status && strings.Contains(refusal.Error(), words),
		"wanted %d %q, got %d %q", status, words, refusal.ResponseStatusCode, refusal.Error())
	want(flaps.GetErrorRequestID(err) != "", "a refusal without fly-request-id")
}

func until(what string, holds func() bool) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(poll) {
		if holds() {
			return
		}
	}
	fail("%s: not within %s", what, patience)
}

func fail(format string, values ...any) {
	_, _, line, _ := runtime.Caller(2)
	fmt.Fprintf(os.Stderr, "main.go:%d: %s\n", line, fmt.Sprintf(format, values...))
	os.Exit(1)
}

func main() {
	log.SetOutput(io.Discard) // the client logs to it
	token := os.Getenv("LOCALFLY_TOKEN")
	client, err := flaps.NewWithOptions(ctx, flaps.NewClientOpts{Tokens: tokens.Parse(token)})
	want(err == nil, "no client: %v", err)

	apps(client)
	addresses(client)
	certificates(client)
	secrets(client)
	platform(client)
	volume := volumes(client)
	machines(client, volume)
	leases(client)

	ok("DeleteApp", client.DeleteApp(ctx, app))
	until("the app is gone", func() bool {
		_, err := client.GetApp(ctx, app)
		return errors.Is(err, flaps.FlapsErrorNotFound)
	})
	told, _ := json.Marshal(map[string][]string{
		"offered": offered(client), "driven": names(driven), "unimitated": names(unimitated),
	})
	fmt.Println(string(told))
}

func offered(client *flaps.Client) []string {
	kind := reflect.TypeOf(client)
	var found []string
	for i := range kind.NumMethod() {
		if name := kind.Method(i).Name; !slices.Contains(notCalls, name) {
			found = append(found, name)
		}
	}
	return found
}

func names(set map[string]bool) []string {
	found := []string{}
	for name := range set {
		found = append(found, name)
	}
	slices.Sort(found)
	return found
}

func apps(client *flaps.Client) {
	free, err := client.AppNameAvailable(ctx, app)
	ok("AppNameAvailable", err)
	want(free, "the name is not available")
	made, err := client.CreateApp(ctx, flaps.CreateAppRequest{Name: app, Org: org, Network: "tenant"})
	ok("CreateApp", err)
	want(made.Name == app && made.ID != "", "created %+v", made)
	ok("WaitForApp", client.WaitForApp(ctx, app))
	shown, err := client.GetApp(ctx, app)
	ok("GetApp", err)
	want(shown.Network == "tenant" && shown.Status == "pending" && shown.Organization.Slug == org, "shown %+v", shown)
	listed, err := client.ListApps(ctx, flaps.ListAppsRequest{OrgSlug: org})
	ok("ListApps", err)
	want(slices.ContainsFunc(listed, func(each flaps.App) bool { return each.Name == app }), "listed %+v", listed)

	_, err = client.CreateApp(ctx, flaps.CreateAppRequest{Name: app, Org: org})
	refused(err, 422, "Name has already been taken")
	want(string(*flaps.GetErrorStatusCode(err)) == "name_taken", "no status code in %v", err)
	_, err = client.GetApp(ctx, "held-by-nobody")
	refused(err, 404, "app not found")
	stranger, _ := flaps.NewWithOptions(ctx, flaps.NewClientOpts{Tokens: tokens.Parse("not-a-token")})
	_, err = stranger.GetApp(ctx, app)
	refused(err, 401, "token validation error")
}

func addresses(client *flaps.Client) {
	none, err := client.GetIPAssignments(ctx, app)
	ok("GetIPAssignments", err)
	want(len(none.IPs) == 0, "addresses from the start: %+v", none)
	part(func() {
		shared, err := client.AssignIP(ctx, app, flaps.AssignIPRequest{Type: "shared_v4"})
		ok("AssignIP", err)
		want(shared.Shared && !shared.IsFlycast() && !shared.CreatedAt.IsZero(), "shared %+v", shared)
		private, err := client.AssignIP(ctx, app, flaps.AssignIPRequest{Type: "private_v6", Network: "tenant"})
		ok("AssignIP", err)
		want(private.IsFlycast(), "not flycast: %+v", private)
		ok("DeleteIPAssignment", client.DeleteIPAssignment(ctx, app, shared.IP))
		left, err := client.GetIPAssignments(ctx, app)
		ok("GetIPAssignments", err)
		want(len(left.IPs) == 1 && left.IPs[0].IP == private.IP, "left %+v", left)
	})
}

func certificates(client *flaps.Client) {
	const host, own = "www.example.com", "own.example.com"
	part(func() {
		made, err := client.CreateACMECertificate(ctx, app, fly.CreateCertificateRequest{Hostname: host})
		ok("CreateACMECertificate", err)
		want(made.Hostname == host && made.AcmeRequested && made.RateLimitedUntil == nil, "made %+v", made)
		listed, err := client.ListCertificates(ctx, app, &flaps.ListCertificatesOpts{Limit: 10, Filter: "example"})
		ok("ListCertificates", err)
		want(listed.TotalCount == 1 && listed.Certificates[0].Hostname == host, "listed %+v", listed)
		shown, err := client.GetCertificate(ctx, app, host)
		ok("GetCertificate", err)
		want(shown.Status == made.Status, "shown %+v", shown)
		checked, err := client.CheckCertificate(ctx, app, host)
		ok("CheckCertificate", err)
		want(checked.DNSRecords != nil, "no DNS records in %+v", checked)
		ok("DeleteACMECertificate", client.DeleteACMECertificate(ctx, app, host))
		ok("DeleteCertificate", client.DeleteCertificate(ctx, app, host))
		_, err = client.GetCertificate(ctx, app, host)
		refused(err, 404, "not found")
	})
	part(func() {
		chain, key := selfSigned(own)
		import_ := fly.ImportCertificateRequest{Hostname: own, Fullchain: chain, PrivateKey: key}
		made, err := client.CreateCustomCertificate(ctx, app, import_)
		ok("CreateCustomCertificate", err)
		want(len(made.Certificates) == 1 && made.Certificates[0].Source == "custom", "made %+v", made)
		ok("DeleteCustomCertificate", client.DeleteCustomCertificate(ctx, app, own))
	})
}

func secrets(client *flaps.Client) {
	first, err := client.SetAppSecret(ctx, app, "API_KEY", "one")
	ok("SetAppSecret", err)
	want(first.Name == "API_KEY" && first.Digest != "" && first.Value == nil, "set %+v", first)
	next, err := client.UpdateAppSecrets(ctx, app, map[string]*string{"OTHER": fly.Pointer("two"), "ABSENT": nil})
	ok("UpdateAppSecrets", err)
	want(next.Version > first.Version && len(next.Secrets) == 2, "updated %+v", next)
	shown, err := client.GetAppSecrets(ctx, app, "API_KEY", &next.Version, false)
	ok("GetAppSecrets", err)
	want(shown.Digest == first.Digest, "shown %+v", shown)
	gone, err := client.DeleteAppSecret(ctx, app, "OTHER")
	ok("DeleteAppSecret", err)
	want(gone.Version > next.Version, "deleted %+v", gone)
	listed, err := client.ListAppSecrets(ctx, app, nil, false)
	ok("ListAppSecrets", err)
	want(len(listed) == 1 && listed[0].Name == "API_KEY", "listed %+v", listed)

	const key = "signer"
	text, kind := []byte("text"), fly.SECRETKEY_TYPE_HS256
	part(func() { _, err := client.ListSecretKeys(ctx, app, nil); ok("ListSecretKeys", err) })
	part(func() { _, err := client.GenerateSecretKey(ctx, app, key, kind); ok("GenerateSecretKey", err) })
	part(func() { _, err := client.SetSecretKey(ctx, app, key, kind, text); ok("SetSecretKey", err) })
	part(func() { _, err := client.GetSecretKey(ctx, app, key, nil); ok("GetSecretKey", err) })
	part(func() { _, err := client.EncryptSecretKey(ctx, app, key, text, nil, nil); ok("EncryptSecretKey", err) })
	part(func() { _, err := client.DecryptSecretKey(ctx, app, key, text, nil, nil); ok("DecryptSecretKey", err) })
	part(func() { _, err := client.SignSecretKey(ctx, app, key, text, nil); ok("SignSecretKey", err) })
	part(func() { ok("VerifySecretKey", client.VerifySecretKey(ctx, app, key, text, text, nil)) })
	part(func() { ok("DeleteSecretKey", client.DeleteSecretKey(ctx, app, key)) })
}

func platform(client *flaps.Client) {
	part(func() {
		known, err := client.GetRegions(ctx)
		ok("GetRegions", err)
		at := slices.IndexFunc(known.Regions, func(each fly.Region) bool { return each.Code == region })
		want(at >= 0 && known.Regions[at].Name != "" && known.Nearest != "", "regions %+v", known)
	})
	part(func() {
		places, err := client.GetPlacements(ctx, &flaps.GetPlacementsRequest{Org: org, Region: region, Count: 2})
		ok("GetPlacements", err)
		want(len(places) > 0 && places[0].Region == region, "placements %+v", places)
	})
}

func volumes(client *flaps.Client) string {
	ask := fly.CreateVolumeRequest{Name: "data", Region: region, SizeGb: fly.Pointer(1), Encrypted: fly.Pointer(true)}
	made, err := client.CreateVolume(ctx, app, ask)
	ok("CreateVolume", err)
	want(made.SizeGb == 1 && made.Encrypted && !made.IsAttached() && !made.CreatedAt.IsZero(), "made %+v", made)
	part(func() {
		change := fly.UpdateVolumeRequest{SnapshotRetention: fly.Pointer(9), AutoBackupEnabled: fly.Pointer(false)}
		changed, err := client.UpdateVolume(ctx, app, made.ID, change)
		ok("UpdateVolume", err)
		want(changed.SnapshotRetention == 9 && !changed.AutoBackupEnabled, "changed %+v", changed)
	})
	larger, _, err := client.ExtendVolume(ctx, app, made.ID, 2)
	ok("ExtendVolume", err)
	want(larger.SizeGb == 2, "extended %+v", larger)
	part(func() {
		ok("CreateVolumeSnapshot", client.CreateVolumeSnapshot(ctx, app, made.ID))
		taken, err := client.GetVolumeSnapshots(ctx, app, made.ID)
		ok("GetVolumeSnapshots", err)
		want(len(taken) == 1 && strings.HasPrefix(taken[0].ID, "vs_"), "snapshots %+v", taken)
	})
	shown, err := client.GetVolume(ctx, app, made.ID)
	ok("GetVolume", err)
	want(shown.Name == "data" && shown.SizeGb == 2, "shown %+v", shown)
	spare, err := client.CreateVolume(ctx, app, ask)
	ok("CreateVolume", err)
	_, err = client.DeleteVolume(ctx, app, spare.ID)
	ok("DeleteVolume", err)
	all, err := client.GetAllVolumes(ctx, app)
	ok("GetAllVolumes", err)
	usable, err := client.GetVolumes(ctx, app)
	ok("GetVolumes", err)
	want(len(all) >= len(usable) && len(usable) == 1 && usable[0].ID == made.ID, "usable %+v of %+v", usable, all)
	return made.ID
}

func machines(client *flaps.Client, volume string) {
	config := &fly.MachineConfig{
		Image:    "registry.fly.io/guest:v1",
		Guest:    &fly.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 256},
		Env:      map[string]string{"A": "1"},
		Metadata: map[string]string{"fly_platform_version": "v2", "color": "green"},
		Mounts:   []fly.MachineMount{{Volume: volume, Path: "/data"}},
		Services: []fly.MachineService{{
			Protocol: "tcp", InternalPort: 8080, Autostop: fly.Pointer(fly.MachineAutostopStop),
			Ports: []fly.MachinePort{{Port: fly.Pointer(80), Handlers: []string{"http"}}},
		}},
	}
	ask := fly.LaunchMachineInput{Name: "web", Region: region, Config: config}
	made, err := client.Launch(ctx, app, ask)
	ok("Launch", err)
	want(made.Name == "web" && made.Region == region && made.Config.Env["A"] == "1", "launched %+v", made)
	want(*made.Config.Services[0].Autostop == fly.MachineAutostopStop, "autostop came back as %+v", made.Config.Services)
	id := made.ID
	ok("Wait", client.Wait(ctx, app, made, "started", 20*time.Second))
	_, err = client.Launch(ctx, app, fly.LaunchMachineInput{Name: "second", Region: region, Config: config})
	refused(err, 412, "volume already claimed by machine "+id)
	_, err = client.Launch(ctx, app, fly.LaunchMachineInput{Name: "web", Config: &fly.MachineConfig{Image: config.Image}})
	refused(err, 409, "machine ID "+id+" already exists")
	refused(client.Destroy(ctx, app, fly.RemoveMachineInput{ID: id}, ""), 412, "unable to destroy machine")

	listed, err := client.List(ctx, app, "region="+region)
	ok("List", err)
	active, err := client.ListActive(ctx, app)
	ok("ListActive", err)
	launched, _, err := client.ListFlyAppsMachines(ctx, app)
	ok("ListFlyAppsMachines", err)
	many, err := client.GetMany(ctx, app, []string{id})
	ok("GetMany", err)
	want(len(listed) == 1 && len(active) == 1 && len(launched) == 1 && len(many) == 1, "lists disagree")

	ok("SetMetadata", client.SetMetadata(ctx, app, id, "shape", "round"))
	ok("DeleteMetadata", client.DeleteMetadata(ctx, app, id, "color"))
	tags, err := client.GetMetadata(ctx, app, id)
	ok("GetMetadata", err)
	want(tags["shape"] == "round" && tags["color"] == "", "metadata %+v", tags)

	part(func() {
		done, err := client.Exec(ctx, app, id, &fly.MachineExecRequest{Cmd: "echo hello", Timeout: 10})
		ok("Exec", err)
		want(done.ExitCode == 0 && strings.TrimSpace(done.StdOut) == "hello", "exec %+v", done)
	})
	part(func() {
		processes, err := client.GetProcesses(ctx, app, id)
		ok("GetProcesses", err)
		want(len(processes) > 0 && processes[0].Pid > 0, "processes %+v", processes)
	})
	part(func() {
		ok("Cordon", client.Cordon(ctx, app, id, ""))
		ok("Uncordon", client.Uncordon(ctx, app, id, ""))
	})

	config.Env["A"] = "2"
	next, err := client.Update(ctx, app, fly.LaunchMachineInput{ID: id, Name: "web", Region: region, Config: config}, "")
	ok("Update", err)
	want(next.InstanceID != made.InstanceID, "an update without a new version")
	ok("Wait", client.Wait(ctx, app, next, "started", 20*time.Second))
	shown, err := client.Get(ctx, app, id)
	ok("Get", err)
	want(shown.Config.Env["A"] == "2" && shown.State == "started", "shown %+v", shown)

	part(func() {
		ok("Restart", client.Restart(ctx, app, fly.RestartMachineInput{ID: id, Timeout: time.Second, Signal: "SIGINT"}, ""))
		ok("Wait", client.Wait(ctx, app, next, "started", 20*time.Second))
	})
	part(func() {
		ok("Suspend", client.Suspend(ctx, app, id, ""))
		ok("Wait", client.Wait(ctx, app, next, "suspended", 20*time.Second))
		start(client, id)
		ok("Wait", client.Wait(ctx, app, next, "started", 20*time.Second))
	})
	ok("Stop", client.Stop(ctx, app, fly.StopMachineInput{ID: id, Timeout: fly.Duration{Duration: time.Second}}, ""))
	ok("Wait", client.Wait(ctx, app, next, "stopped", 20*time.Second))
	start(client, id)
	ok("Wait", client.Wait(ctx, app, next, "started", 20*time.Second))
	part(func() { ok("Kill", client.Kill(ctx, app, id)) })
	ok("Destroy", client.Destroy(ctx, app, fly.RemoveMachineInput{ID: id, Kill: true}, ""))
	until("the machine is gone", func() bool {
		left, err := client.ListActive(ctx, app)
		return err == nil && len(left) == 0
	})
}

func start(client *flaps.Client, id string) {
	until("the start is accepted", func() bool {
		_, err := client.Start(ctx, app, id, "")
		if err == nil {
			driven["Start"] = true
		}
		return err == nil
	})
}

func leases(client *flaps.Client) {
	made, err := client.Launch(ctx, app, fly.LaunchMachineInput{
		SkipLaunch: true, Config: &fly.MachineConfig{Image: "registry.fly.io/guest:v1"},
	})
	ok("Launch", err)
	id := made.ID
	_, err = client.FindLease(ctx, app, id)
	refused(err, 404, "lease not found")
	held, err := client.AcquireLease(ctx, app, id, fly.Pointer(30))
	ok("AcquireLease", err)
	want(held.Status == "success" && held.Data.Nonce != "" && held.Data.Version == made.InstanceID, "held %+v", held.Data)
	found, err := client.FindLease(ctx, app, id)
	ok("FindLease", err)
	want(found.Data.Owner == held.Data.Owner, "found %+v", found.Data)
	longer, err := client.RefreshLease(ctx, app, id, fly.Pointer(90), held.Data.Nonce)
	ok("RefreshLease", err)
	want(longer.Data.Nonce == held.Data.Nonce && longer.Data.ExpiresAt > held.Data.ExpiresAt, "refreshed %+v", longer.Data)
	remove := fly.RemoveMachineInput{ID: id, Kill: true}
	refused(client.Destroy(ctx, app, remove, ""), 409, "lease currently held by")
	ok("ReleaseLease", client.ReleaseLease(ctx, app, id, held.Data.Nonce))
	ok("Destroy", client.Destroy(ctx, app, remove, ""))
}

// selfSigned makes a certificate for a host and its key, both as PEM.
func selfSigned(host string) (chain, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	want(err == nil, "no key: %v", err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(24 * time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	want(err == nil, "no certificate: %v", err)
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	want(err == nil, "no key text: %v", err)
	return armoured("CERTIFICATE", certificate), armoured("PRIVATE KEY", bytes)
}

func armoured(kind string, bytes []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
}
