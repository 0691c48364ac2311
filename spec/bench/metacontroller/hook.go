// Command hook answers metacontroller's sync requests with the children, and the status, that policies/examples makes of the same parents:
// /indexedjob for a CompositeController, /service-per-pod for a DecoratorController. What it can make nothing of it answers with 422.
//
//	hook 127.0.0.1:PORT
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

// parent is what is read of an IndexedJob and of a StatefulSet.
type parent struct {
	Metadata struct {
		Name        string
		Generation  int
		Annotations map[string]string
	}
	Spec struct {
		Completions, Parallelism, Replicas int
		Template                           json.RawMessage
	}
	Status struct {
		Conditions []struct{ Status, LastTransitionTime string }
	}
}

type request struct {
	Parent, Object parent // of a CompositeController, of a DecoratorController
	Children       map[string]map[string]struct{ Status struct{ Phase string } }
}

// inside returns the object that a field holds, an empty one where there was none.
func inside(it object, field string) object {
	if _, ok := it[field].(object); !ok {
		it[field] = object{}
	}
	return it[field].(object)
}

// podOf makes the pod of an index: the template with a name, a label, and the index for each container.
func podOf(template json.RawMessage, job, name string, index int) (pod object, err error) {
	err = json.Unmarshal(template, &pod)
	if pod == nil {
		return nil, fmt.Errorf("no template: %v", err)
	}
	pod["apiVersion"], pod["kind"] = "v1", "Pod"
	inside(pod, "metadata")["name"] = name
	inside(inside(pod, "metadata"), "labels")["ctl.example.com/indexedjob"] = job
	spec := inside(pod, "spec")
	containers, _ := spec["containers"].([]any)
	for _, each := range containers {
		if container, ok := each.(object); ok {
			env, _ := container["env"].([]any)
			container["env"] = append(env, object{"name": "JOB_INDEX", "value": strconv.Itoa(index)})
		}
	}
	if spec["restartPolicy"] == nil {
		spec["restartPolicy"] = "OnFailure"
	}
	return pod, nil
}

func indexedJob(it *request) (object, error) {
	job, name, pods, succeeded := it.Parent, it.Parent.Metadata.Name, it.Children["Pod.v1"], 0
	for _, pod := range pods {
		if pod.Status.Phase == "Succeeded" {
			succeeded++
		}
	}
	active, children := len(pods)-succeeded, []object{}
	for index, places := 0, job.Spec.Parallelism-active; index < job.Spec.Completions; index++ {
		there, exists := pods[fmt.Sprintf("%s-%d", name, index)]
		if !exists {
			places--
		}
		if exists && there.Status.Phase != "Failed" || !exists && places >= 0 {
			pod, err := podOf(job.Spec.Template, name, fmt.Sprintf("%s-%d", name, index), index)
			if err != nil {
				return nil, err
			}
			children = append(children, pod)
		}
	}
	complete := object{"type": "Complete", "status": "False", "reason": "Running", "observedGeneration": job.Metadata.Generation,
		"message":            fmt.Sprintf("%d of %d have succeeded", succeeded, job.Spec.Completions),
		"lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}
	if succeeded >= job.Spec.Completions {
		complete["status"], complete["reason"] = "True", "AllSucceeded"
	}
	if before := job.Status.Conditions; len(before) > 0 && before[0].Status == complete["status"] {
		complete["lastTransitionTime"] = before[0].LastTransitionTime
	}
	status := object{"active": active, "succeeded": succeeded, "conditions": []object{complete}}
	return object{"children": children, "status": status}, nil
}

var port = regexp.MustCompile(`^\s*(\d+):?(\d*)\s*$`)

func servicePerPod(it *request) (object, error) {
	set, ports, services := it.Object.Metadata, []object{}, []object{}
	for _, item := range strings.Split(set.Annotations["service-per-pod-ports"], ",") {
		found := port.FindStringSubmatch(item)
		if found == nil {
			return nil, fmt.Errorf("'%s' is not PORT or PORT:TARGET", item)
		}
		number, _ := strconv.Atoi(found[1])
		target, err := strconv.Atoi(found[2])
		if err != nil {
			target = number
		}
		ports = append(ports, object{"name": "port-" + found[1], "port": number, "targetPort": target, "protocol": "TCP"})
	}
	for i := 0; i < it.Object.Spec.Replicas; i++ {
		name := fmt.Sprintf("%s-%d", set.Name, i)
		services = append(services, object{"apiVersion": "v1", "kind": "Service",
			"metadata": object{"name": name, "labels": object{"app": "service-per-pod"}},
			"spec":     object{"selector": object{set.Annotations["service-per-pod-label"]: name}, "ports": ports}})
	}
	return object{"attachments": services}, nil
}

func serve(path string, sync func(*request) (object, error)) {
	http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		var it request
		var answer object
		err := json.NewDecoder(r.Body).Decode(&it)
		if err == nil {
			answer, err = sync(&it)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		json.NewEncoder(w).Encode(answer)
	})
}

func main() {
	serve("/indexedjob", indexedJob)
	serve("/service-per-pod", servicePerPod)
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
